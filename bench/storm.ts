/**
 * `node build/bench/storm.js [--clones 100]`: clones of one cold parent that boot at once.
 *
 * Each is a process that reads a recorded boot and compares every byte. Prints the bytes that the origin sent, and
 * those of them that it sent twice. Needs root and perl.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { type HttpOriginServer, spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { withParentfs } from './contenders/parentfs.ts'
import { readReplay, type TracedRead, writeTouched } from './replay/trace.ts'
import { describeMachine } from './report/machine.ts'

const { values } = parseArgs({
  options: {
    clones: { type: 'string', default: '100' },
    trace: { type: 'string', default: 'bench/traces/debian-12-ext4.txt.gz' },
  },
})
/** Processes that read a list, one read after the other, and say whether the bytes were those of the image. */
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
const home = await mkdtemp(join(tmpdir(), 'parentfs-storm-'))
const files = join(home, 'images')
try {
  const { processors, processor, kernel, load } = await describeMachine('')
  console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}`)
  await mkdir(files)
  await clones(Number(values.clones), await readReplay(values.trace))
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

async function mounted(origin: HttpOriginServer, imageName: string, work: (path: string) => Promise<void>) {
  const directory = join(home, 'clones')
  await mkdir(directory)
  try {
    const place = { directory, originUrl: origin.url, imageName, imagePath: join(files, imageName) }
    await withParentfs(place, ({ path }) => work(path))
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Bytes of the image that more than one request asked for. */
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
