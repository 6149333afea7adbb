/**
 * kill -9 of the worker, again and again, under fio and readers that check every byte, with misses in flight and
 * eviction: no reader sees an error, a wrong byte or an end.
 *
 * KILLS=n sets their number; SEED=n another sequence; BUSY=n runs so many loops beside it that only take processor
 * time.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  command,
  type Daemon,
  isGone,
  mountDaemon,
  type Place,
  patienceMs,
  place,
  startCommand,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { readWithFio, writeVerified } from '../fixtures/fio.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { manyDeathsFile } from '../fixtures/many-deaths.ts'
import { childrenOf, openIn } from '../fixtures/process-usage.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2
const kills = Number(process.env.KILLS ?? 4)
const busy = Number(process.env.BUSY ?? 0)
const sample = { seed: 71, sizeBytes: 24 * MiB + 777, dataShare: 0.9 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const verifiedBytes = 16 * MiB
const loadMsMax = 120_000

t.setTimeout(7_200_000)
const options = { skip: cannotMount, timeout: 120_000 + kills * 60_000 }

/** An origin that takes 5 ms an answer, two images of which the cache holds half, and the mount. */
async function setUp(t: Test): Promise<{ where: Place; daemon: Daemon }> {
  const local = place(t)
  writeSample(join(local.originDirectory, 'a.raw'), sample)
  await writeVerified(join(local.originDirectory, 'b.raw'), verifiedBytes)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 5 })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  const daemon = startCommand(t, [...command, 'mount', '--config', manyDeathsFile(where, '20MiB')])
  await until(() => /"msg":"mounted"/.test(daemon.log()) || daemon.child.exitCode !== null, patienceMs, 'the mount')
  for (let k = 0; k < busy; k++) {
    const loop = spawn('sh', ['-c', 'while :; do :; done'])
    t.teardown(() => void loop.kill('SIGKILL'))
  }
  return { where, daemon }
}

/** The pauses that the supervisor has logged, in milliseconds. */
function pausesOf(daemon: Daemon): number[] {
  return [...daemon.log().matchAll(/"pauseMs":(\d+)/g)].map(match => Number(match[1])).sort((a, b) => a - b)
}

/** Kill the worker that serves; resolves when another one does. @returns the pid of that */
async function killWorker(where: Place, daemon: Daemon, pid: number): Promise<number> {
  const before = pausesOf(daemon).length
  process.kill(pid, 'SIGKILL')
  await until(() => pausesOf(daemon).length > before, patienceMs, 'another worker')
  return (await statusOf(where)).pid
}

t.test(`${kills} kills of the worker under fio and checking readers are not seen (SEED=${seed})`, options, async t => {
  const random = seeded(seed)
  const { where, daemon } = await setUp(t)
  const { mountpoint } = where
  const images = new Map([['a.raw', [bytes]]])
  const readers = new CheckingReaders({ mountpoint, images, count: 4, seed })
  const path = join(mountpoint, 'b.raw')
  let fioOver = false
  let fioIos = 0
  const fio = async (direct: boolean) => {
    while (!fioOver) {
      const ran = await readWithFio(path, verifiedBytes, { engine: 'libaio', direct, depth: 32, jobs: 1, seconds: 4 })
      fioIos += ran.ios
      if (ran.code !== 0 || ran.error !== 0) t.fail(`fio, direct ${direct}: error ${ran.error}, ${ran.stderr}`)
    }
  }
  const loads = Promise.all([fio(true), fio(false)])
  await readers.haveRead(20, loadMsMax)
  let { pid } = await statusOf(where)
  const openBefore = openIn(daemon.supervisorPid, pid)
  for (let kill = 0; kill < kills; kill++) {
    await readers.haveRead(readers.report().reads + between(random, 1, 60), loadMsMax)
    pid = await killWorker(where, daemon, pid)
  }
  await readers.haveRead(readers.report().reads + 50, loadMsMax)
  fioOver = true
  await loads
  const { reads, failed, errors, wrong, longestMs } = await readers.stop()
  const { eviction } = await statusOf(where)
  t.same({ failed, errors, wrong }, { failed: 0, errors: [], wrong: [] }, `${reads} reads`)
  t.same(childrenOf(daemon.supervisorPid), [pid], 'one worker, and nothing else')
  const isAsBefore = () => isDeepStrictEqual(openIn(daemon.supervisorPid, pid), openBefore)
  await until(isAsBefore, patienceMs, 'nothing more open than before').catch(() => {})
  t.same(openIn(daemon.supervisorPid, pid), openBefore, 'what both have open')
  const pauses = pausesOf(daemon)
  const share = (part: number) => pauses[Math.min(pauses.length - 1, Math.floor(pauses.length * part))]
  t.comment(
    `${kills} kills: ${reads} reads, ${fioIos} of fio, ${eviction.objects} objects evicted by the last worker;` +
      ` pauses in ms: median ${share(0.5)}, 90 % ${share(0.9)}, longest ${share(1)}; longest read ${Math.round(longestMs)} ms`,
  )
  t.equal(pauses.length, kills)
  t.equal(await stop(daemon), 0)
  t.ok(await isGone(where, pid, daemon.supervisorPid))
})

t.test('a listing that is being read goes on where it was', options, async t => {
  const where = place(t)
  const names = Array.from({ length: 3000 }, (_, k) => `image-${String(k).padStart(5, '0')}-of-some-length.raw`)
  for (const name of names) writeFileSync(join(where.originDirectory, name), 'x')
  const daemon = await mountDaemon(t, where)
  const listing = await opendir(where.mountpoint, { bufferSize: 1 })
  const seen = [(await listing.read())!.name]
  await killWorker(where, daemon, (await statusOf(where)).pid)
  for (let entry = await listing.read(); entry; entry = await listing.read()) seen.push(entry.name)
  await listing.close()
  t.same(seen.sort(), names)
  t.equal(await stop(daemon), 0)
})
