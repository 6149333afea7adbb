/**
 * `node build/bench/storm.js [--clones 100] [--readers 64] [--seconds 20]`: many at once on a cold parent.
 *
 * First so many clones that boot, each a process that reads a recorded boot and compares every byte: what the origin was asked for, and
 * what of it twice. Then so many readers of what is not here, half of them one read after the other and half of them at random, on a
 * cache that has records of 262,144 objects: how long the thread of all requests was busy at a stretch, and what memory it took. Needs
 * root, perl and fio.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { latenciesSince, latencyQuantile } from '../src/base/latency-histogram.ts'
import { fillCache } from '../test/fixtures/filled-cache.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { usageOf } from '../test/fixtures/process-usage.ts'
import { startParentfs } from './contenders/parentfs.ts'
import { parentfs } from './demo/command.ts'
import { readReplay, type TracedRead, writeTouched } from './replay/trace.ts'
import { describeMachine } from './report/machine.ts'

const { values } = parseArgs({
  options: {
    clones: { type: 'string', default: '100' },
    readers: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '20' },
    trace: { type: 'string', default: 'bench/traces/debian-12-ext4.txt.gz' },
  },
})
/** So many processes, each of which reads all of a list one after the other, and says whether it read what the image has. */
const boots = String.raw`
my ($path, $image, $list, $count) = @ARGV;
open my $lines, "<", $list or die $!;
my @reads = map { chomp; [split / /] } <$lines>;
for (1 .. $count) {
  next if fork;
  open my $file, "<:raw", $path or die $!;
  open my $truth, "<:raw", $image or die $!;
  my $right = 1;
  for (@reads) {
    my ($offset, $length) = @$_;
    sysseek $file, $offset, 0; sysseek $truth, $offset, 0;
    my ($got, $wanted);
    my $read = sysread $file, $got, $length;
    sysread $truth, $wanted, $length;
    $right = 0 if !defined $read || $got ne $wanted;
  }
  syswrite STDOUT, $right ? "right\n" : "wrong\n";
  exit;
}
1 while wait > 0;
`

const MiB = 2 ** 20
const objectBytes = 4 * MiB
const home = await mkdtemp(join(tmpdir(), 'parentfs-storm-'))
const files = join(home, 'images')
try {
  const { processors, processor, kernel, load } = await describeMachine('')
  console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}`)
  await mkdir(files)
  await clones(Number(values.clones), await readReplay(values.trace))
  await readers(Number(values.readers), Number(values.seconds))
} finally {
  await rm(home, { recursive: true, force: true })
}

async function clones(count: number, reads: readonly TracedRead[]): Promise<void> {
  const image = join(files, 'boot.raw')
  await writeTouched(image, reads)
  const list = join(home, 'reads')
  await writeFile(list, reads.map(({ offset, length }) => `${offset} ${length}\n`).join(''))
  const origin = await spawnHttpOrigin({ directory: files, listing: 'html', delayMs: 10, bytesPerSecond: 100 * MiB })
  try {
    for (const atOnce of [1, count]) {
      await mounted(origin, 'boot.raw', async path => {
        await origin.reset()
        const startedMs = performance.now()
        const { stdout } = await promisify(execFile)('perl', ['-e', boots, path, image, list, String(atOnce)])
        const seconds = (performance.now() - startedMs) / 1000
        const wrong = stdout.split('\n').filter(line => line !== '' && line !== 'right').length
        const { bytes, log } = await origin.counters()
        const said = `${(bytes / 1e6).toFixed(0)} MB from the origin, ${(twice(log) / 1e6).toFixed(2)} MB of them twice`
        console.log(`${atOnce} clones at once: ${seconds.toFixed(1)} s, ${said}; ${wrong} of them read wrong bytes`)
      })
    }
  } finally {
    await origin.close()
  }
}

async function readers(count: number, seconds: number): Promise<void> {
  const objects = 262_144
  const [held, cold] = ['held.raw', 'cold.raw']
  for (const name of [held, cold]) await writeFile(join(files, name), '')
  await truncate(join(files, held), objects * objectBytes)
  await truncate(join(files, cold), 64 * 2 ** 30)
  const options = {
    directory: files,
    etag: 'none',
    lastModified: true,
    delayMs: 10,
    bytesPerSecond: 400 * MiB,
  } as const
  const origin = await spawnHttpOrigin(options)
  const facts = { origin: origin.url, key: held, sizeBytes: objects * objectBytes, validator: 'of held', modifiedMs: 0 }
  const records = { blockBytes: 65536, blocks: 2n ** 64n - 1n, objects: Array.from({ length: objects }, (_, k) => k) }
  await mkdir(join(home, 'storm'))
  await fillCache({ directory: join(home, 'storm', 'cache'), facts, ...records })
  try {
    await mounted(
      origin,
      cold,
      async (path, mountpoint) => {
        const status = async () => JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
        const before = await status()
        let rssAnonBytes = 0
        const look = setInterval(() => {
          rssAnonBytes = Math.max(rssAnonBytes, usageOf(before.pid).rssAnonBytes)
        }, 100)
        const common = ['--readonly', '--direct=1', '--ioengine=psync', '--time_based', `--runtime=${seconds}`]
        const half = String(Math.floor(count / 2))
        const part = `--offset_increment=${512 * MiB}`
        const jobs = [`--filename=${path}`, ...common, `--numjobs=${half}`]
        await promisify(execFile)('fio', [
          ...['--name=random', '--rw=randread', '--bs=4k', ...jobs],
          ...['--name=sequential', '--rw=read', '--bs=128k', part, ...jobs],
        ])
        clearInterval(look)
        const after = await status()
        const lag = latenciesSince(before.eventLoopLag, after.eventLoopLag)
        const [p99, most] = [latencyQuantile(lag, 0.99)!, latencyQuantile(lag, 1)!].map(
          each => `${(each * 1000).toFixed(1)} ms`,
        )
        const rate = ((after.origin.bytes - before.origin.bytes) / MiB / seconds).toFixed(0)
        console.log(
          `${count} cold readers: ${rate} MiB/s from the origin, ${after.reads.misses - before.reads.misses} misses`,
        )
        console.log(
          `    a turn of the event loop: p99 ${p99}, longest ${most}; RssAnon ${(rssAnonBytes / MiB).toFixed(0)} MiB`,
        )
      },
      'storm',
    )
  } finally {
    await origin.close()
  }
}

async function mounted(
  origin: HttpOriginServer,
  imageName: string,
  work: (path: string, mountpoint: string) => Promise<void>,
  name = 'clones',
): Promise<void> {
  const directory = join(home, name)
  await mkdir(directory, { recursive: true })
  const place = { directory, originUrl: origin.url, imageName, imagePath: join(files, imageName) }
  const running = await startParentfs(place, [])
  try {
    await work(running.path, join(directory, 'mnt'))
  } finally {
    await running.stop()
    await rm(directory, { recursive: true })
  }
}

/** Bytes of the image that were asked for more than once. */
function twice(log: Awaited<ReturnType<HttpOriginServer['counters']>>['log']): number {
  const ranges = log
    .flatMap(({ headers }) => /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [])
    .filter((_, k) => k % 3 !== 0)
    .map(Number)
  const sorted = Array.from({ length: ranges.length / 2 }, (_, k) => [ranges[2 * k]!, ranges[2 * k + 1]! + 1] as const)
  sorted.sort(([a], [b]) => a - b)
  let [bytes, end] = [0, 0]
  for (const [from, to] of sorted) {
    bytes += Math.max(0, Math.min(to, end) - from)
    end = Math.max(end, to)
  }
  return bytes
}
