/** A mount from its beginning to each of its ends, through the real command. */
import { closeSync, existsSync, openSync, readFileSync, readSync, statfsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import { lockMountpoint, mountpointLockPath } from '../../src/daemon/mount/mountpoint-lock.ts'
import { loadAddon } from '../../src/native/addon.ts'
import {
  cannotMount,
  command,
  isGone,
  isRunning,
  logs,
  mountArguments,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  startCommand,
  startDaemon,
  statusOf,
  transport,
} from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { startInNamespace } from '../fixtures/namespace-process.ts'
import { attempt, run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const image = { seed: 7, sizeBytes: 9 * 1024 * 1024 + 4321 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

/** New directories with one image. */
function placeWithImage(test: Pick<Test, 'teardown'>): Place {
  const where = place(test)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  return where
}

/** Closing a file of a mount that was taken away by force may fail; it is closed all the same. */
function closeLoosely(fd: number): void {
  try {
    closeSync(fd)
  } catch {}
}

const options = { skip: cannotMount }

t.test('SIGTERM and SIGINT unmount and exit 0', options, async t => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    const where = placeWithImage(t)
    const daemon = await mountDaemon(t, where)
    const { pid } = await statusOf(where)
    // A terminal sends it to both.
    process.kill(pid, signal)
    daemon.child.kill(signal)
    t.match(await daemon.exited, { code: 0, signal: null }, signal)
    t.ok(await isGone(where, pid), signal)
  }
})

t.test('a thread that hangs in the kernel does not hold up the end of a worker', options, async t => {
  const where = placeWithImage(t)
  const never = join(where.top, 'never')
  await run('mkfifo', never)
  const hang = `if (process.argv[1].endsWith('worker-main.js')) (await import('node:fs')).open('${never}', 'r', () => {})`
  const preloaded = `NODE_OPTIONS=--import=data:text/javascript,${encodeURIComponent(hang)}`
  const [, , ...node] = command
  const daemon = startCommand(t, ['env', preloaded, ...node, ...mountArguments(where)])
  await until(() => /"msg":"mounted"/.test(daemon.log()), patienceMs, 'the mount')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0, stderr: '' })
  t.equal((await daemon.exited).code, 0)
  t.notMatch(daemon.log(), /did not stop/)
})

t.test('a mount in use stays, its holders are named, and --force takes it away', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  const fd = openSync(join(where.mountpoint, 'a.raw'), 'r')
  t.teardown(() => closeLoosely(fd))
  const refused = await parentfs('unmount', where.mountpoint)
  t.equal(refused.code, 1)
  t.match(refused.stderr, new RegExp(`^parentfs: [^\\n]*in use by [^\\n]*${process.pid} \\([^\\n]*--force\\n$`))
  daemon.child.kill('SIGTERM')
  await until(() => /"signal".*in use by/s.test(daemon.log()), patienceMs, 'the refusal')
  const buffer = Buffer.alloc(100)
  t.equal(readSync(fd, buffer, 0, 100, 5 * 1024 * 1024), 100, 'it still reads')
  t.match(await parentfs('unmount', '--force', where.mountpoint), { code: 0 })
  t.equal((await daemon.exited).code, 0)
  t.throws(() => readSync(fd, buffer, 0, 100, 0), 'its descriptor is dead')
})

t.test('a reader in a mount namespace of its own holds it', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  const file = join(where.mountpoint, 'a.raw')
  const script = `exec 3< ${file}; echo up; read line; dd bs=4096 skip=100 count=1 status=none <&3`
  const { child, ended } = await startInNamespace(t, script)
  const refused = await parentfs('unmount', where.mountpoint)
  t.match(refused, { code: 1, stderr: new RegExp(` in use by ${child.pid} \\(`) })
  child.stdin!.end('go\n')
  const { stdout } = await ended
  t.ok(bytes.subarray(100 * 4096, 101 * 4096).equals(stdout.subarray('up\n'.length)), 'it still reads')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.equal((await daemon.exited).code, 0)
})

t.test('unmount from inside the mount does not hold it itself', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  // exec: no shell stays behind in there.
  const ran = await attempt('sh', '-c', `cd "${where.mountpoint}" && exec ${command.join(' ')} unmount .`)
  t.match(ran, { code: 0, stderr: '' })
  t.equal((await daemon.exited).code, 0)
})

t.test('a second signal takes a mount in use away', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  const { pid } = await statusOf(where)
  const fd = openSync(join(where.mountpoint, 'a.raw'), 'r')
  t.teardown(() => closeLoosely(fd))
  daemon.child.kill('SIGTERM')
  await until(() => /in use by/.test(daemon.log()), patienceMs, 'the refusal')
  t.ok(await mountAt(where.mountpoint))
  daemon.child.kill('SIGTERM')
  t.equal((await daemon.exited).code, 0)
  t.ok(await isGone(where, pid))
})

t.test('an unmount from outside is a clean end', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  const { pid } = await statusOf(where)
  await run('umount', where.mountpoint)
  t.equal((await daemon.exited).code, 0)
  t.ok(await isGone(where, pid))
})

t.test('a stale mount of a killed daemon is cleaned by the next mount, and by unmount', options, async t => {
  const where = placeWithImage(t)
  for (const clean of ['mount', 'unmount']) {
    const daemon = await mountDaemon(t, where)
    const { pid } = await statusOf(where)
    // The supervisor first stopped: it must not clean up after the worker.
    process.kill(daemon.supervisorPid, 'SIGSTOP')
    process.kill(pid, 'SIGKILL')
    process.kill(daemon.supervisorPid, 'SIGKILL')
    await daemon.exited
    // The connection ends with the last of their descriptors.
    await until(() => !isRunning(pid), patienceMs, 'the end of the worker')
    t.throws(() => statfsSync(where.mountpoint), { code: 'ENOTCONN' })
    t.match(await parentfs('status', where.mountpoint), { code: 1, stderr: /does not answer/ })
    if (clean === 'unmount') t.match(await parentfs('unmount', where.mountpoint), { code: 0, stderr: '' })
  }
  t.equal(await mountAt(where.mountpoint), null)
})

t.test('a supervisor that is killed takes the mount with it', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  const { pid } = await statusOf(where)
  process.kill(daemon.supervisorPid, 'SIGKILL')
  await daemon.exited
  await until(() => isGone(where, pid, daemon.supervisorPid), patienceMs, 'the end of the worker')
  t.pass('nothing is left without the supervisor')
})

t.test('a worker that is killed is followed by another, where the mount survives it', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  const { pid } = await statusOf(where)
  const fd = openSync(join(where.mountpoint, 'a.raw'), 'r')
  t.teardown(() => closeLoosely(fd))
  process.kill(pid, 'SIGKILL')
  if (transport === 'fuse-native') {
    t.equal((await daemon.exited).code, 1, 'what libfuse mounted goes with it')
    t.ok(await isGone(where, pid, daemon.supervisorPid))
    return
  }
  const read = await readFile(join(where.mountpoint, 'a.raw'))
  t.ok(read.equals(bytes), 'nobody saw it')
  t.not((await statusOf(where)).pid, pid)
  closeSync(fd)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0, stderr: '' })
  t.equal((await daemon.exited).code, 0)
})

t.test('a worker that notices late that it is alone leaves what was mounted there since', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  const { pid } = await statusOf(where)
  process.kill(pid, 'SIGSTOP')
  process.kill(daemon.supervisorPid, 'SIGKILL')
  await run('umount', '-l', where.mountpoint)
  await run('mount', '-t', 'tmpfs', 'new', where.mountpoint)
  process.kill(pid, 'SIGCONT')
  await until(() => !isRunning(pid), patienceMs, 'the end of the worker')
  t.match(await mountAt(where.mountpoint), { type: 'tmpfs', source: 'new' })
  await run('umount', where.mountpoint)
})

t.test('a mount in the background returns when it answers, or says why not', options, async t => {
  const where = placeWithImage(t)
  const log = join(where.top, 'log', 'parentfs.log')
  t.match(await parentfs(...mountArguments(where, '--background', '--log-file', log)), { code: 0, stderr: '' })
  t.ok(readFileSync(join(where.mountpoint, 'a.raw')).equals(bytes))
  await until(() => /"msg":"mounted"/.test(readFileSync(log, 'utf8')), patienceMs, 'the line')
  const { pid, supervisorPid } = await statusOf(where)
  const other = { ...place(t), cacheDirectory: where.cacheDirectory }
  t.match(await parentfs(...mountArguments(other, '--background')), { code: 1, stderr: /^parentfs: .*another.*\n$/ })
  t.equal(await mountAt(other.mountpoint), null)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, pid, supervisorPid))
})

t.test('two mounts at once on one directory: one of them wins', options, async t => {
  const where = placeWithImage(t)
  const other = { ...where, cacheDirectory: `${where.cacheDirectory}-2` }
  const daemons = [startDaemon(t, where), startDaemon(t, other)]
  const ends = daemons.map((daemon, k) => daemon.exited.then(ran => ({ ran, winner: daemons[1 - k]! })))
  const { ran, winner } = await Promise.race(ends)
  t.match(ran, { code: 1, stderr: /^parentfs: /m })
  // Its supervisor unmounts once the mount has answered, and not before.
  await logs(winner, /"msg":"mounted"/)
  t.ok(readFileSync(join(where.mountpoint, 'a.raw')).equals(bytes))
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.equal(await mountAt(where.mountpoint), null)
})

t.test(
  'a mountpoint that another supervisor is about to use is refused, and is free again afterwards',
  options,
  async t => {
    const where = placeWithImage(t)
    const path = mountpointLockPath(where.mountpoint)
    const unlock = lockMountpoint(path, where.mountpoint, loadAddon())
    const refused = await parentfs(...mountArguments(where))
    t.match(refused, { code: 1, stderr: /^parentfs: [^\n]*being mounted by another parentfs[^\n]*\n$/ })
    t.equal(await mountAt(where.mountpoint), null)
    unlock()
    const daemon = await mountDaemon(t, where)
    t.throws(
      () => lockMountpoint(path, where.mountpoint, loadAddon()),
      { code: 'mount-busy' },
      'held while it is mounted',
    )
    daemon.child.kill('SIGTERM')
    t.equal((await daemon.exited).code, 0)
    t.notOk(existsSync(path), 'no file is left')
  },
)
