/** A mount under a service manager: what the manager hears when, and what the unit leaves of root is enough. */
import { chmodSync, chownSync, copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { parseSize } from '../../src/base/sizes.ts'
import {
  leftBehindBytes,
  prefetchBytesMax,
  promotionBytesMax,
  readaheadBufferBytesMax,
} from '../../src/cache/fetch/limits.ts'
import { fetchBytesMax } from '../../src/cache/limits.ts'
import { blockBytesDefault } from '../../src/daemon/config/limits.ts'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import { workerHeapMiBMax } from '../../src/daemon/supervisor/limits.ts'
import { indexLockedBytesMax } from '../../src/index/guard/limits.ts'
import {
  cannotMount,
  command,
  type Daemon,
  isGone,
  mountArguments,
  type Place,
  patienceMs,
  place,
  startCommand,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { listenAsManager, type NotifySocket } from '../fixtures/notify-socket.ts'
import { descriptorsOf } from '../fixtures/process-usage.ts'
import { attempt, run, start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const sample = { seed: 61, sizeBytes: 300_000, dataShare: 1 }
const unit = 'systemd/parentfs@.service'
const MiB = 1024 ** 2
/** See StoreFile.table. */
const residencyBytesPerObject = 16
const isAlive = (text: string) => text === 'WATCHDOG=1\n'

/** The values of a key of the unit. */
function valuesOf(key: string): string[] {
  return [...readFileSync(unit, 'utf8').matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(match => match[1]!)
}

/** Mount as a manager would: told where it listens, and how often it wants to hear that all is well. */
function serve(t: Test, where: Place, { name }: NotifySocket, watchdogMs: number, ...before: string[]): Daemon {
  const told = [`NOTIFY_SOCKET=${name}`, `WATCHDOG_USEC=${watchdogMs * 1000}`]
  return startCommand(t, ['env', ...told, ...before, ...command, ...mountArguments(where)])
}

t.test('READY comes when the mount answers, and not before', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), sample)
  // It is long before the mount that there is a process.
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 500 })
  t.teardown(() => origin.close())
  const mountedAtReady: boolean[] = []
  const isMounted = () => readFileSync('/proc/self/mounts', 'utf8').includes(` ${where.mountpoint} fuse.parentfs `)
  const socket = await listenAsManager(t, join(where.top, 'notify'), text => {
    if (text.startsWith('READY=1\n')) mountedAtReady.push(isMounted())
  })
  const daemon = serve(t, { ...where, origin: origin.url }, socket, 60_000)
  await until(() => mountedAtReady.length > 0 || daemon.child.exitCode !== null, patienceMs, 'READY')
  t.same(mountedAtReady, [true], daemon.log())
  t.match(socket.heard[0], /^STATUS=starting/)
  const rest = socket.heard.slice(1).filter(text => !text.startsWith('FDSTORE=1\n'))
  t.equal(rest[0], `READY=1\nSTATUS=mounted on ${where.mountpoint}\n`)
  const read = await run('cat', join(where.mountpoint, 'a.raw'))
  t.ok(read.equals(sampleBytes(sample, 0, sample.sizeBytes)))
  t.equal(await stop(daemon), 0)
  const stopping = () => socket.heard.some(text => text.startsWith('STOPPING=1\n'))
  await until(stopping, patienceMs, 'STOPPING')
})

t.test('a start that fails is never READY', options, async t => {
  const where = place(t)
  const socket = await listenAsManager(t, join(where.top, 'notify'))
  const daemon = serve(t, { ...where, origin: `file://${where.top}/nowhere` }, socket, 60_000)
  t.equal((await daemon.exited).code, 1)
  await until(() => socket.heard.length > 0, patienceMs, 'a status')
  t.notOk(socket.heard.some(text => text.includes('READY')))
})

t.test('the watchdog hears nothing while the worker is stopped, and hears again when it goes on', options, async t => {
  const where = place(t)
  const socket = await listenAsManager(t, `@parentfs-test-${process.pid}`)
  const daemon = serve(t, where, socket, 400)
  const heardAlive = () => socket.heard.filter(isAlive).length
  await until(() => heardAlive() >= 3, patienceMs, 'signs of life')
  const { pid } = await statusOf(where)
  process.kill(pid, 'SIGSTOP')
  let [seen, sinceMs] = [-1, 0]
  const isSilent = () => {
    if (heardAlive() !== seen) [seen, sinceMs] = [heardAlive(), performance.now()]
    return performance.now() - sinceMs > 1500
  }
  await until(isSilent, patienceMs, 'fifteen questions without an answer')
  t.ok(daemon.child.exitCode === null, 'the supervisor is there')
  process.kill(pid, 'SIGCONT')
  await until(() => heardAlive() > seen + 3, patienceMs, 'signs of life')
  t.equal(await stop(daemon), 0)
})

t.test('what the unit leaves of root is enough, and holders are still named', options, async t => {
  const kept = valuesOf('CapabilityBoundingSet')[0]!.split(' ')
  const capabilities = kept.map(name => `+${name.replace('CAP_', '').toLowerCase()}`).join(',')
  const bounds = ['setpriv', `--bounding-set=-all,${capabilities}`, '--inh-caps=-all', '--no-new-privs']
  if (!existsSync('/usr/bin/setpriv')) return t.pass('capabilities', { skip: 'setpriv is not installed' })
  const where = place(t)
  const image = join(where.originDirectory, 'a.raw')
  writeSample(image, sample)
  // A file of no user: root reads it by right of CAP_DAC_READ_SEARCH alone.
  chmodSync(image, 0o600)
  chownSync(image, 65534, 65534)
  const socket = await listenAsManager(t, join(where.top, 'notify'))
  const daemon = serve(t, where, socket, 60_000, ...bounds)
  await until(() => /READY/.test(socket.heard.join('')) || daemon.child.exitCode !== null, patienceMs, 'READY')
  const read = await run('cat', join(where.mountpoint, 'a.raw'))
  t.ok(read.equals(sampleBytes(sample, 0, sample.sizeBytes)))
  const { pid, supervisorPid } = await statusOf(where)
  const effective = /^CapEff:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  t.equal(BigInt(`0x${effective}`).toString(2).replaceAll('0', '').length, kept.length, 'no other capability')
  // One of all capabilities: to look at it takes CAP_SYS_PTRACE.
  const holder = start('tail', ['-f', join(where.mountpoint, 'a.raw')])
  t.teardown(() => void holder.child.kill('SIGKILL'))
  const isHeld = () => descriptorsOf(holder.child.pid!).some(name => name.startsWith(where.mountpoint))
  await until(isHeld, patienceMs, 'the holder')
  daemon.child.kill('SIGTERM')
  const isNamed = () => socket.heard.some(text => text.includes(`${holder.child.pid} (tail -f`))
  await until(isNamed, patienceMs, 'the name of the holder')
  t.notOk(
    socket.heard.some(text => text.startsWith('STOPPING')),
    'it stays',
  )
  t.ok(await mountAt(where.mountpoint))
  // Result of the unit's ExecStop: the second signal takes the mount away, in use or not.
  t.equal(await stop(daemon), 0)
  t.ok(await isGone(where, pid, supervisorPid))
})

/**
 * Complaints of systemd about a unit. It complains about all units that this one needs too: those of other packages are
 * not ours to mend.
 */
async function wrongIn(file: string): Promise<string[]> {
  const { stderr } = await attempt('systemd-analyze', 'verify', '--man=no', file)
  return stderr.split('\n').filter(line => line.includes(basename(file, '.service')))
}

t.test('the memory that the unit leaves is what the limits add up to', async t => {
  const bytesOf = (key: string) => parseSize(valuesOf(key)[0]!.replace(/[KMG]$/, '$&iB'))
  const [locked, memory] = [bytesOf('LimitMEMLOCK'), bytesOf('MemoryMax')]
  // A TiB held whole in 64 KiB blocks was measured with an index of 99 to 168 MiB.
  t.ok(indexLockedBytesMax >= 168 * MiB)
  t.ok(locked >= indexLockedBytesMax + 8 * MiB, 'and something for others')
  const heap = workerHeapMiBMax * MiB
  const underWay = fetchBytesMax + promotionBytesMax + prefetchBytesMax + readaheadBufferBytesMax + leftBehindBytes
  const tables = (50 * 1024 ** 4 * residencyBytesPerObject) / (64 * blockBytesDefault)
  t.ok(
    heap + indexLockedBytesMax + underWay + tables <= memory / 2,
    'the rest is for page cache, code and the supervisor',
  )
})

t.test('systemd finds nothing wrong with the unit', async t => {
  if (!existsSync('/usr/bin/systemd-analyze')) return t.pass('the unit', { skip: 'systemd is not installed' })
  // The unit with a program that is there. What is wrong with it goes to standard error.
  const directory = t.testdir()
  const file = join(directory, 'parentfs@.service')
  copyFileSync(unit, file)
  writeFileSync(file, readFileSync(unit, 'utf8').replace(/^(Exec\w+)=parentfs /gm, '$1=/bin/true '))
  t.same(await wrongIn(file), [])
  const planted = join(directory, 'planted@.service')
  writeFileSync(planted, `${readFileSync(file, 'utf8')}\n[Service]\nBogus=1\n`)
  t.match((await wrongIn(planted)).join(), /planted@.*Bogus/, 'what is wrong is seen')
  const { code, stdout } = await attempt('systemd-analyze', 'security', '--offline=true', '--no-pager', file)
  t.equal(code, 0)
  const exposure = /Overall exposure level for \S+: ([\d.]+ \w+)/.exec(stdout.toString())?.[1]
  t.comment(`systemd-analyze security: exposure ${exposure}`)
  t.ok(Number.parseFloat(`${exposure}`) < 5, `${exposure}`)
  // Each of these would hide the mount from everybody else.
  const namespaces =
    /^(Protect(System|Home|Kernel\w+|ControlGroups|Proc)|Private(Tmp|Devices|Mounts)|\w+Paths|Root\w+)=/m
  t.notMatch(readFileSync(unit, 'utf8'), namespaces)
})
