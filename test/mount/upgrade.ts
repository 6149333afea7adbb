/**
 * Workers of another version that take over a mount in use, through the real command.
 * UPGRADES=n sets how many under load.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  isGone,
  isRunning,
  mountDaemon,
  parentfs,
  place,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { childrenOf, openIn } from '../fixtures/process-usage.ts'
import { until } from '../fixtures/until.ts'
import { editVersion, versionIn } from '../fixtures/version.ts'

const MiB = 1024 ** 2
const upgrades = Number(process.env.UPGRADES ?? 3)
const sample = { seed: 81, sizeBytes: 16 * MiB + 777, dataShare: 0.9 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const loadMsMax = 120_000
const skip = cannotMount || (transport === 'kernel' ? false : 'over fuse-native no worker takes over')
const options = { skip, timeout: 120_000 + upgrades * 60_000 }
t.setTimeout(3_600_000)

t.test(`${upgrades} upgrades under load are seen by nobody`, options, async t => {
  const local = place(t)
  writeSample(join(local.originDirectory, 'a.raw'), sample)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 5 })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  const daemon = await mountDaemon(t, where, '--capacity', `${12 * MiB}`, '--block-size', '4KiB')
  const versions = ['8.0.1', '8.0.2'].map(version => versionIn(local.top, version))
  const images = new Map([['a.raw', [bytes]]])
  const readers = new CheckingReaders({ mountpoint: where.mountpoint, images, count: 6, seed: 5 })
  const pids = [(await statusOf(where)).pid]
  await readers.haveRead(20, loadMsMax)
  const openBefore = openIn(daemon.supervisorPid, pids[0]!)
  const pauses: number[] = []
  for (let k = 0; k < upgrades; k++) {
    await readers.haveRead(readers.report().reads + 40, loadMsMax)
    const { code, stdout, stderr } = await parentfs('upgrade', where.mountpoint, '--to', versions[k % 2]!)
    t.equal(code, 0, stderr)
    pauses.push(Number(/version 8\.0\.\d serves now, .*; readers waited for (\d+) ms\n$/.exec(stdout.toString())?.[1]))
    pids.push((await statusOf(where)).pid)
  }
  await readers.haveRead(readers.report().reads + 40, loadMsMax)
  const { reads, failed, errors, wrong } = await readers.stop()
  t.same({ failed, errors, wrong }, { failed: 0, errors: [], wrong: [] }, `${reads} reads`)
  t.equal(new Set(pids).size, upgrades + 1)
  t.same(pids.filter(isRunning), [pids.at(-1)], 'none of those before runs')
  t.same(childrenOf(daemon.supervisorPid), [pids.at(-1)])
  const isAsBefore = () => isDeepStrictEqual(openIn(daemon.supervisorPid, pids.at(-1)!), openBefore)
  await until(isAsBefore, loadMsMax, 'nothing more open than before').catch(() => {})
  t.same(openIn(daemon.supervisorPid, pids.at(-1)!), openBefore, 'what both have open')
  const { version, takeovers } = await statusOf(where)
  t.equal(version, `8.0.${((upgrades - 1) % 2) + 1}`)
  t.match(takeovers, { count: upgrades, longestPauseMs: Math.max(...pauses), refusedUpgrade: null })
  t.comment(`${upgrades} upgrades, ${reads} reads; pauses in ms: ${pauses.sort((a, b) => a - b).join(', ')}`)
  t.match(await parentfs('set', 'capacity', where.mountpoint, '10MiB'), { code: 0 })
  t.match(await parentfs('upgrade', where.mountpoint), { code: 0 })
  t.equal((await statusOf(where)).cache.capacityBytes, 10 * MiB, 'what was set by hand holds')
  t.equal(await stop(daemon), 0)
  t.ok(await isGone(where))
})

t.test(
  'what cannot take over is refused before anything stops, or followed by the version of before',
  options,
  async t => {
    const where = place(t)
    writeSample(join(where.originDirectory, 'a.raw'), sample)
    const daemon = await mountDaemon(t, where)
    const { pid, version } = await statusOf(where)
    const refused = async (directory: string, reason: RegExp) => {
      t.match(await parentfs('upgrade', where.mountpoint, '--to', directory), { code: /[12]/, stderr: reason })
      t.equal((await statusOf(where)).pid, pid, 'the same worker')
    }
    await refused(where.top, /has no version of parentfs .*make build/)
    const other = versionIn(where.top, '9.0.1')
    editVersion(other, /(\blayoutVersion = )\d+/, '$1999')
    await refused(other, /layout \d+, and we read layout 999/)
    const open = versionIn(where.top, '9.0.2')
    chmodSync(join(open, 'dist', 'daemon'), 0o777)
    await refused(open, /can be written by others/)
    const ending = versionIn(where.top, '9.0.3')
    writeFileSync(join(ending, 'dist', 'daemon', 'server-main.js'), 'process.exit(3)')
    await refused(ending, /ended with exit code 3/)
    // Ready, and then it dies where it should serve.
    const dying = versionIn(where.top, '9.0.4')
    editVersion(dying, 'receiveFd: () =>', 'receiveFd: () => process.abort() ??')
    const failed = await parentfs('upgrade', where.mountpoint, '--to', dying)
    t.match(failed, { code: 1, stderr: /version 9\.0\.4 could not take over .*SIGABRT.*; version .* goes on/ })
    const after = await statusOf(where)
    t.not(after.pid, pid)
    t.equal(after.version, version)
    t.ok(readFileSync(join(where.mountpoint, 'a.raw')).equals(bytes))
    t.equal(await stop(daemon), 0)
  },
)
