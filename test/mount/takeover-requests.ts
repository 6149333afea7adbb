/**
 * Requests without an answer, and versions without a name, when a worker dies. Requests are sent again twice,
 * interrupted, or given up between two workers; some versions are known only to their openers.
 */
import { renameSync, rmSync, statSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  transport,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2
const skip = cannotMount || (transport === 'kernel' ? false : 'takeover is of the kernel transport')
const [before, after] = [51, 52].map(seed => ({ seed, sizeBytes: 8 * MiB, dataShare: 1 }))
const [old, fresh] = [before!, after!].map(image => sampleBytes(image, 0, image.sizeBytes)) as [Buffer, Buffer]

/** A mount over HTTP with these options, of an image `a.raw`. */
async function setUp(t: Test, ...options: string[]) {
  const local = place(t)
  writeSample(join(local.originDirectory, 'a.raw'), before!)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  const daemon = await mountDaemon(t, where, '--no-passthrough', ...options)
  return { where, origin, daemon, path: join(where.mountpoint, 'a.raw') }
}

/** Kill the worker; resolves when another one serves. */
async function killWorker(where: Place): Promise<void> {
  const { pid } = await statusOf(where)
  process.kill(pid, 'SIGKILL')
  await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
}

/** The worker has that many requests which wait. */
const haveCome = (where: Place, requests: number) =>
  until(async () => (await statusOf(where)).gauges.requests >= requests, patienceMs, `${requests} requests`)

t.test(
  'requests that come as a worker dies, on threads that had none before, are answered by the next',
  { skip },
  async t => {
    const { where } = await setUp(t)
    const { pid } = await statusOf(where)
    const looks = Array.from({ length: 16 }, (_, k) => {
      if (k === 2) process.kill(pid, 'SIGKILL')
      return stat(join(where.mountpoint, `absent-${k}`)).catch((error: NodeJS.ErrnoException) => error.code)
    })
    t.same(new Set(await Promise.all(looks)), new Set(['ENOENT']))
    t.match(await statusOf(where), { takeovers: { count: 1 } })
  },
)

t.test('requests that two workers took along are answered by the third', { skip }, async t => {
  const { where, origin, path } = await setUp(t)
  const [direct, buffered] = [await open(path, 0o40000), await open(path, 'r')]
  await origin.fault({ kind: 'stall-before-headers', method: 'GET' })
  const reads = Array.from({ length: 24 }, async (_, k) => {
    const bytes = Buffer.alloc(65_536)
    const offset = ((k * 5) % 24) * 5 * 65_536
    const { bytesRead } = await (k % 3 ? direct : buffered).read(bytes, 0, bytes.length, offset)
    return bytesRead === bytes.length && bytes.equals(old.subarray(offset, offset + bytes.length))
  })
  // As many as the threads of this process allow at once.
  await haveCome(where, 4)
  for (let kill = 0; kill < 2; kill++) {
    await killWorker(where)
    await haveCome(where, 4)
  }
  await origin.fault(null)
  await killWorker(where)
  t.same(new Set(await Promise.all(reads)), new Set([true]))
  t.match(await statusOf(where), { takeovers: { count: 3 }, gauges: { requests: 0 } })
  for (const handle of [direct, buffered]) await handle.close()
})

const timerProgram = `
  use Time::HiRes qw(setitimer ITIMER_REAL); use Digest::SHA qw(sha256_hex);
  my $signals = 0; $SIG{ALRM} = sub { $signals++ }; setitimer(ITIMER_REAL, 0.02, 0.02);
  open my $file, "<:raw", $ARGV[0] or die $!;
  sysseek $file, 3 * 1048576, 0;
  my $count = sysread($file, my $bytes, 65536) // die "after $signals signals: $!";
  setitimer(ITIMER_REAL, 0); # Perl's end takes the handler away before the process has gone.
  print "$count $signals ", sha256_hex($bytes);
`

t.test('a reader with a timer is interrupted while one worker follows another, and reads all', { skip }, async t => {
  const { where, origin, path } = await setUp(t)
  await origin.fault({ kind: 'stall-before-headers', method: 'GET' })
  const reader = start('perl', ['-e', timerProgram, path])
  await haveCome(where, 1)
  for (let kill = 0; kill < 2; kill++) {
    await killWorker(where)
    await haveCome(where, 1)
  }
  await origin.fault(null)
  await killWorker(where)
  const { code, stdout, stderr } = await reader.ended
  t.equal(code, 0, stderr)
  const [count, signals, sum] = stdout.toString().split(' ')
  const { createHash } = await import('node:crypto')
  const wanted = createHash('sha256').update(old.subarray(3 * MiB, 3 * MiB + 65_536))
  t.same([Number(count), sum], [65_536, wanted.digest('hex')])
  t.ok(Number(signals) > 0, `${signals} signals`)
})

t.test('readers that are killed while nobody serves go, and leave nothing behind', { skip }, async t => {
  const { where, origin, daemon, path } = await setUp(t)
  await origin.fault({ kind: 'stall-before-headers', method: 'GET' })
  const readers = ['', 'iflag=direct'].map((flags, k) =>
    start('dd', [`if=${path}`, 'bs=64K', 'count=1', `skip=${k * 32}`, 'status=none', ...(flags ? [flags] : [])]),
  )
  await haveCome(where, 2)
  // No process starts another worker while the supervisor is stopped.
  const { pid } = await statusOf(where)
  process.kill(daemon.supervisorPid, 'SIGSTOP')
  process.kill(pid, 'SIGKILL')
  for (const { child } of readers) child.kill('SIGKILL')
  const [buffered] = await Promise.all([readers[0]!.ended])
  t.equal(buffered.signal, 'SIGKILL', 'gone with nobody there')
  process.kill(daemon.supervisorPid, 'SIGCONT')
  t.equal((await readers[1]!.ended).signal, 'SIGKILL')
  await origin.fault(null)
  await until(async () => (await statusOf(where)).gauges.requests === 0, patienceMs, 'nothing in work')
  const handle = await open(path, 'r')
  t.ok((await handle.readFile()).equals(old))
  await handle.close()
})

/** All of the image is in the store, and recorded: what is only in the store goes with the worker. */
async function makeDurable(t: Test, path: string): Promise<void> {
  t.match(await parentfs('promote', path), { code: 0 })
}

t.test('versions without a name are read on after a takeover: replaced, and deleted', { skip }, async t => {
  const { where, path } = await setUp(t, '--revalidate', '0s')
  const source = join(where.originDirectory, 'a.raw')
  const first = await open(path, 0o40000)
  const whole = async (handle: typeof first) => {
    const bytes = Buffer.alloc(old.length)
    for (let at = 0; at < bytes.length; at += MiB) await handle.read(bytes, at, MiB, at)
    return bytes
  }
  t.ok((await whole(first)).equals(old))
  await makeDurable(t, path)
  const { ino } = statSync(path)
  writeSample(`${source}.new`, after!)
  renameSync(`${source}.new`, source)
  await until(() => statSync(path).ino !== ino, patienceMs, 'the new version')
  await killWorker(where)
  t.ok((await whole(first)).equals(old), 'the one before')
  const second = await open(path, 0o40000)
  t.ok((await whole(second)).equals(fresh), 'the new one')
  await makeDurable(t, path)
  rmSync(source)
  await until(() => statSync(path, { throwIfNoEntry: false }) === undefined, patienceMs, 'the end of the name')
  await killWorker(where)
  t.ok((await whole(first)).equals(old))
  t.ok((await whole(second)).equals(fresh))
  for (const handle of [first, second]) await handle.close()
})
