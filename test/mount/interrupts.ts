/**
 * Signals to readers that wait for the origin: a harmless one breaks nothing, a killed reader leaves, and a fetch goes
 * on for exactly as long as a reader wants it.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, mountDaemon, type Place, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const MiB = 1024 ** 2
const image = { seed: 41, sizeBytes: 16 * MiB, dataShare: 1 }
/** Far longer than anything here takes: no reader leaves at its time-out. */
const missSeconds = 120
/** An address that no other server here listens at: a port of it is free again when it is wanted. */
const address = '127.0.0.88'
/** Longest that a killed reader may take to leave: far less than it would wait, far more than a busy machine takes. */
const leavingMsMax = (missSeconds * 1000) / 4

interface World {
  readonly where: Place
  readonly origin: HttpOriginServer
  readonly path: string
}

async function world(t: Test, ...options: string[]): Promise<World> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, address })
  t.teardown(() => origin.close())
  const onHttp = { ...where, origin: origin.url }
  await mountDaemon(t, onHttp, '-o', [`miss_seconds=${missSeconds}`, ...options].join(','))
  return { where: onHttp, origin, path: join(where.mountpoint, 'a.raw') }
}

/** Requests for bytes of the image: others, for its boot profile, come when they come. */
async function rangesAsked(origin: HttpOriginServer): Promise<number> {
  const { log } = await origin.counters()
  return log.filter(({ path, headers }) => path === '/a.raw' && headers.range !== undefined).length
}

/** A reader of 64 KiB at `megabyte`; its read hangs at the origin by now. */
async function hangingReader({ path, origin, where }: World, megabyte: number, flags: string) {
  const before = await rangesAsked(origin)
  const asked = `skip=${megabyte * 16}`
  const reader = start('dd', [`if=${path}`, 'bs=64K', 'count=1', asked, 'status=none', ...(flags ? [flags] : [])])
  await until(async () => (await rangesAsked(origin)) > before, patienceMs, 'the request of the reader')
  await until(async () => (await statusOf(where)).gauges.requests > 0, patienceMs, 'the read is under way')
  return reader
}

/** @returns how long the process took to go, in milliseconds */
async function killed(reader: ReturnType<typeof start>): Promise<number> {
  const startMs = performance.now()
  reader.child.kill('SIGKILL')
  const { signal } = await reader.ended
  return signal === 'SIGKILL' ? Math.round(performance.now() - startMs) : Number.NaN
}

t.test('a reader with a timer that goes off all the time reads as if there were none', options, async t => {
  const { path, origin } = await world(t)
  // Each answer takes far longer than the timer, which ends first: Perl takes its handlers back before it exits.
  await origin.fault({ kind: 'drip', pieceBytes: 4096, method: 'GET' })
  const program = `
    use Time::HiRes qw(setitimer ITIMER_REAL); use Digest::SHA qw(sha256_hex);
    my $signals = 0; $SIG{ALRM} = sub { $signals++ }; setitimer(ITIMER_REAL, 0.02, 0.02);
    open my $file, "<:raw", $ARGV[0] or die $!;
    sysseek $file, 3 * 1048576, 0;
    my $count = sysread($file, my $bytes, 65536) // die "after $signals signals: $!";
    setitimer(ITIMER_REAL, 0);
    print "$count $signals ", sha256_hex($bytes);
  `
  const { code, stdout, stderr } = await start('perl', ['-e', program, path]).ended
  t.equal(code, 0, stderr)
  const [count, signals, sum] = stdout.toString().split(' ')
  t.equal(Number(count), 65536)
  t.ok(Number(signals) > 0, `${signals} signals`)
  const { createHash } = await import('node:crypto')
  const expected = createHash('sha256')
    .update(sampleBytes(image, 3 * MiB, 65536))
    .digest('hex')
  t.equal(sum, expected)
})

t.test(
  'a killed reader leaves: buffered at once, direct within a few seconds, and its fetch is cancelled',
  options,
  async t => {
    const made = await world(t)
    const { origin, where } = made
    await origin.fault({ kind: 'stall-before-headers', method: 'GET' })
    const bufferedMs = await killed(await hangingReader(made, 1, ''))
    t.ok(bufferedMs < leavingMsMax, `buffered: ${bufferedMs} ms`)
    const before = (await statusOf(where)).origin.cancelled
    const directMs = await killed(await hangingReader(made, 5, 'iflag=direct'))
    t.ok(directMs < leavingMsMax, `direct: ${directMs} ms`)
    t.comment(`killed while the origin hangs: buffered gone after ${bufferedMs} ms, direct after ${directMs} ms`)
    await until(async () => (await statusOf(where)).origin.cancelled > before, patienceMs, 'the fetch was cancelled')
    await until(async () => (await origin.counters()).gone >= 1, patienceMs, 'the origin sees the connection go')
    await origin.fault(null)
  },
)

t.test('a fetch that somebody else still wants goes on when one of its readers is killed', options, async t => {
  const made = await world(t)
  const { origin, where } = made
  await origin.fault({ kind: 'stall-before-headers', path: '/a.raw', method: 'GET', times: 1 })
  const first = await hangingReader(made, 2, 'iflag=direct')
  const asked = await rangesAsked(origin)
  const second = start('dd', [`if=${made.path}`, 'bs=64K', 'count=1', 'skip=32', 'iflag=direct', 'status=none'])
  await until(async () => (await statusOf(where)).gauges.requests === 2, patienceMs, 'both wait')
  const { cancelled } = (await statusOf(where)).origin
  t.ok((await killed(first)) > 0)
  t.equal((await statusOf(where)).origin.cancelled, cancelled, 'nothing was cancelled')
  t.equal(await rangesAsked(origin), asked, 'nothing was asked again')
  // The try that hangs ends by its own deadline, and the next one is answered.
  const { code, stdout } = await second.ended
  t.equal(code, 0)
  t.ok(stdout.equals(sampleBytes(image, 2 * MiB, 65536)))
  t.equal(await rangesAsked(origin), asked + 1)
})

t.test('who waits for an origin that is away, for ever by his own wish, leaves when he is killed', options, async t => {
  const made = await world(t, 'miss_seconds=1', 'on_outage=wait')
  const { where, path } = made
  // Before it goes: names are known then.
  const warm = start('dd', [`if=${path}`, 'bs=64K', 'count=1', 'status=none'])
  t.equal((await warm.ended).code, 0)
  const { url } = made.origin
  await made.origin.close()
  const read = (megabyte: number, flags: string) =>
    start('dd', [`if=${path}`, 'bs=64K', 'count=1', `skip=${megabyte * 16}`, 'status=none', ...(flags ? [flags] : [])])
  const readers = { buffered: read(2, ''), direct: read(5, 'iflag=direct'), survivor: read(9, 'iflag=direct') }
  const waiting = async () => (await statusOf(where)).origin.waiting
  await until(async () => (await waiting()) >= 3, patienceMs, 'all of them wait')
  const startMs = performance.now()
  await until(() => performance.now() - startMs > 2_500, patienceMs, 'longer than a miss is waited for otherwise')
  // One may be between two tries.
  await until(async () => (await waiting()) >= 3, patienceMs, 'they still do')
  const bufferedMs = await killed(readers.buffered)
  t.ok(bufferedMs < leavingMsMax, `buffered: ${bufferedMs} ms`)
  const directMs = await killed(readers.direct)
  t.ok(directMs < leavingMsMax, `direct: ${directMs} ms`)
  t.comment(
    `killed while waiting for an origin that is away: buffered after ${bufferedMs} ms, direct after ${directMs} ms`,
  )
  const port = Number(new URL(url).port)
  const again = await spawnHttpOrigin({ directory: where.originDirectory, address, port })
  t.teardown(() => again.close())
  const { code, stdout } = await readers.survivor.ended
  t.equal(code, 0, 'who was left is served when it is back')
  t.ok(stdout.equals(sampleBytes(image, 9 * MiB, 65536)))
  await until(async () => (await statusOf(where)).gauges.requests === 0, patienceMs, 'nothing is left')
  t.equal(await waiting(), 0)
})
