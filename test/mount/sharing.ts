/** Readers share fetches, and a process with many misses does not hold up another one. */
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { profileSuffix } from '../../src/origin/contract/image-name.ts'
import { cannotMount, mountDaemon, type Place, patienceMs, place, readingAhead, statusOf } from '../fixtures/daemon.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { randomFrom, sampleBytes, writeSample } from '../fixtures/images.ts'
import { attempt, run, start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const [KiB, MiB] = [1024, 1024 ** 2]
/** Longest that others crowd, in milliseconds: they are ended before. */
const crowdMsMax = 300_000

async function mountedOverHttp(t: Test, where: Place, delayMs: number): Promise<HttpOriginServer> {
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs })
  t.teardown(() => origin.close())
  // The kernel itself would read a complete image.
  await mountDaemon(t, { ...where, origin: origin.url }, ...readingAhead, '--no-passthrough')
  return origin
}

t.test('100 processes that read one cold extent cost the origin one request', options, async t => {
  const where = place(t)
  const image = { seed: 5, sizeBytes: 9 * MiB, dataShare: 1 }
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const target = join(where.mountpoint, 'a.raw')
  const origin = await mountedOverHttp(t, where, 0)
  await run('stat', target)
  await origin.reset()
  await origin.fault({ kind: 'hold', path: '/a.raw' })
  // Half of them read the whole block, half a piece of it each.
  const block = 3 * 64 * KiB
  const ranges = Array.from({ length: 100 }, (_, k) =>
    k % 2 === 0 ? { length: 64 * KiB, offset: block } : { length: 1 * KiB, offset: block + k * 512 + 512 },
  )
  const reading = Promise.all(
    ranges.map(({ length, offset }) => {
      const what = [`if=${target}`, 'iflag=direct,skip_bytes', `bs=${length}`, 'count=1', `skip=${offset}`]
      return attempt('dd', ...what, 'status=none')
    }),
  )
  const haveCome = async () => (await statusOf(where)).gauges.requests >= ranges.length
  await until(haveCome, patienceMs, 'all of them')
  await origin.fault(null)
  const ran = await reading
  const wrong = ran.filter(({ stdout }, k) => !stdout.equals(sampleBytes(image, ranges[k]!.offset, ranges[k]!.length)))
  t.same(wrong, [])
  const { log } = await origin.counters()
  const ofTheImage = log.filter(({ path }) => !path.endsWith(profileSuffix))
  t.same(
    ofTheImage.map(({ method, headers }) => `${method} ${headers.range}`),
    [`GET bytes=${block}-${block + 64 * KiB - 1}`],
  )
  const { misses } = (await statusOf(where)).reads
  t.equal(misses, ranges.length, 'all of them came before the answer')
})

t.test('a process with 300 misses under way makes those of another wait for its turn alone', options, async t => {
  const where = place(t)
  for (const name of ['alone.raw', 'crowded.raw']) {
    writeFileSync(join(where.originDirectory, name), '')
    truncateSync(join(where.originDirectory, name), 1024 * MiB)
  }
  // So long that the processors have little to do.
  await mountedOverHttp(t, where, 100)
  const target = (name: string) => join(where.mountpoint, name)
  const alone = await missesOf(target('alone.raw'))

  const what = [`--filename=${target('crowded.raw')}`, '--rw=randread', '--bs=4k', '--time_based', '--runtime=600']
  const how = ['--ioengine=libaio', '--direct=1', '--iodepth=300', '--readonly']
  // One process, that ends when it is killed.
  const crowding = start('fio', ['--name=crowd', '--thread', ...how, ...what], { msMax: crowdMsMax })
  t.teardown(() => crowding.child.kill('SIGKILL'))
  const isCrowded = async () => (await statusOf(where)).gauges.requests >= 250
  await until(isCrowded, patienceMs, 'the crowd')
  const beside = await missesOf(target('crowded.raw'))
  t.equal(crowding.child.exitCode, null, 'it was crowded all the time')
  // Those that were answered a moment ago are asked anew.
  await until(isCrowded, patienceMs, 'the crowd at the end')
  crowding.child.kill('SIGKILL')
  await crowding.ended
  // In one line with the crowd it would be seven times. The slowest of sixty says more of the machine than of turns.
  const at = (share: number, latencies: readonly number[]) =>
    [...latencies].sort((a, b) => a - b)[Math.floor(latencies.length * share)]!
  const ratioAt = (share: number) => at(share, beside) / at(share, alone)
  t.comment(`p99 ${ratioAt(0.99).toFixed(2)} times as long as alone, aim twice`)
  t.ok(ratioAt(0.5) < 3, `half of them ${ratioAt(0.5).toFixed(2)} times as long`)
})

/** One process that reads one miss after the other; nothing foresees them. @returns milliseconds of each */
async function missesOf(path: string): Promise<number[]> {
  const random = randomFrom(3)
  const offsets = Array.from({ length: 60 }, () => Math.floor(random() * 256 * 1024) * 4 * KiB)
  const lines = await run('perl', '-e', oneByOne, path, ...offsets.map(String))
  return lines.toString().trim().split('\n').map(Number)
}

const oneByOne = String.raw`
use Time::HiRes qw(time);
my ($path, @offsets) = @ARGV;
sysopen my $file, $path, 040000 or die $!; # O_DIRECT
for my $offset (@offsets) {
  my ($start, $bytes) = (time, "");
  sysseek $file, $offset, 0;
  defined sysread $file, $bytes, 4096 or die $!;
  print 1000 * (time - $start), "\n";
}
`
