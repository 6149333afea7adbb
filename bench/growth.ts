/**
 * Growth of parentfs: start, open, hits and memory against the size of the cache and the number of its images.
 *
 *   node build/bench/growth.js [--out DIR]
 *
 * The cache is made as it would be after weeks: an index full of records, and sparse data files that are all holes. The
 * times of a start and of an answer do not depend on the bytes. Writes a JSON, and the growth section of
 * docs/BENCHMARKS.md with its plots.
 */
import { closeSync, ftruncateSync, openSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { fillCache } from '../test/fixtures/filled-cache.ts'
import { spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { usageOf } from '../test/fixtures/process-usage.ts'
import { parentfs } from './demo/command.ts'
import { runFio } from './fio.ts'
import { lineChart } from './report/chart.ts'
import { figure } from './report/figure.ts'
import { describeMachine } from './report/machine.ts'
import { between, shown } from './report/page.ts'
import { median } from './report/ratios.ts'

interface Point {
  readonly residentGiB: number
  readonly images: number
  readonly startMs: number
  readonly openUs: number
  /** 4 KiB random reads, direct, one at a time. */
  readonly hitUs: number
  readonly rssAnonMiB: number
}

const GiB = 2 ** 30
const objectBytes = 4 * 2 ** 20
const sizes = [1, 4, 16, 64, 256, 1024]
const imageCounts = [1, 10, 100, 1000]
const opens = 200

/** Results that lie elsewhere leave the page as it is. */
const committed = 'bench/results'

const { values } = parseArgs({ options: { out: { type: 'string', default: committed } } })
const machine = await describeMachine((await parentfs('--version')).trim())
const bySize: Point[] = []
for (const residentGiB of sizes) bySize.push(await measure(residentGiB, 1))
const byCount: Point[] = []
for (const images of imageCounts) byCount.push(await measure(16, images))
await report()

/** A cache of that size, in so many images of one size. */
async function measure(residentGiB: number, images: number): Promise<Point> {
  const directory = await mkdtemp(join(tmpdir(), 'parentfs-growth-'))
  const [files, cache, mountpoint] = ['images', 'cache', 'mnt'].map(name => join(directory, name)) as [
    string,
    string,
    string,
  ]
  for (const each of [files, mountpoint]) await mkdir(each)
  const origin = await spawnHttpOrigin({ directory: files, etag: 'none', lastModified: true })
  const sizeBytes = Math.max(objectBytes, Math.floor((residentGiB * GiB) / images / objectBytes) * objectBytes)
  try {
    for (let k = 0; k < images; k++) {
      const path = join(files, `${k}.raw`)
      const fd = openSync(path, 'w')
      ftruncateSync(fd, sizeBytes)
      closeSync(fd)
      const facts = { origin: origin.url, key: `${k}.raw`, sizeBytes, validator: `of ${k}`, modifiedMs: 0 }
      const objects = Array.from({ length: sizeBytes / objectBytes }, (_, object) => object)
      await fillCache({
        directory: cache,
        blockBytes: 65536,
        blocks: 2n ** 64n - 1n,
        facts,
        objects,
        nodeId: 2n ** 40n + BigInt(k),
      })
    }
    const startedMs = performance.now()
    // Holes take nothing; the index may have 2 % of it.
    const words = ['--cache-dir', cache, '--capacity', '20GiB', '--no-passthrough', '--background']
    await parentfs('mount', origin.url, mountpoint, ...words)
    const path = join(mountpoint, '0.raw')
    statSync(path)
    const startMs = performance.now() - startedMs
    try {
      const { pid } = JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
      await (await open(path)).close()
      // Twice: what is read first is verified first.
      for (let pass = 0; pass < 2; pass++) await runFio('bench/jobs/warm-4k-qd1.fio', path, 2)
      const { p50Us } = await runFio('bench/jobs/warm-4k-qd1.fio', path, 2)
      const { reads } = JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
      if (reads.misses > 0) throw new Error(`${reads.misses} misses: what was read was not held`)
      const point = {
        ...{ residentGiB, images, startMs, hitUs: p50Us, openUs: median(await openTimes(path)) },
        rssAnonMiB: usageOf(pid).rssAnonBytes / 2 ** 20,
      }
      console.log(`${residentGiB} GiB in ${images}: ${JSON.stringify(point)}`)
      return point
    } finally {
      await parentfs('unmount', mountpoint)
    }
  } finally {
    await origin.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** In microseconds. */
async function openTimes(path: string): Promise<number[]> {
  const times: number[] = []
  for (let k = 0; k < opens; k++) {
    const startedMs = performance.now()
    closeSync(openSync(path, 'r'))
    times.push((performance.now() - startedMs) * 1000)
  }
  return times
}

async function report(): Promise<void> {
  await mkdir(values.out, { recursive: true })
  await writeFile(join(values.out, 'growth.json'), `${JSON.stringify({ machine, bySize, byCount })}\n`)
  if (values.out !== committed) return
  const page = 'docs/BENCHMARKS.md'
  const marks = ['<!-- Written by `make bench`: growth, from here -->', '<!-- growth, to here -->'] as const
  const head =
    '| held | images | exec to first stat | open | 4 KiB hit, median | private memory |\n|---|---|---|---|---|---|'
  const rows = [...bySize, ...byCount].map(
    ({ residentGiB, images, startMs, openUs, hitUs, rssAnonMiB }) =>
      `| ${residentGiB} GiB | ${images.toLocaleString('en')} | ${figure(startMs)} ms | ${figure(openUs)} us | ${figure(hitUs)} us | ${figure(rssAnonMiB)} MiB |`,
  )
  const { processors, processor, kernel, load } = machine
  const where = `${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)} at the beginning.`
  await mkdir('docs/benchmarks', { recursive: true })
  const plots = [
    ['growth-start', 'Exec to first stat', 'ms', (point: Point) => point.startMs],
    ['growth-hit', 'A 4 KiB hit, median', 'us', (point: Point) => point.hitUs],
    ['growth-memory', 'Private memory of the worker', 'MiB', (point: Point) => point.rssAnonMiB],
  ] as const
  for (const [name, title, unit, of] of plots) {
    const points = bySize.map(point => [point.residentGiB, of(point), `${figure(of(point))} ${unit}`] as const)
    await writeFile(`docs/benchmarks/${name}.svg`, lineChart(title, { x: 'GiB held', y: unit }, points))
  }
  const pictures = shown(plots.map(([name, title]) => ({ path: `benchmarks/${name}.svg`, title })))
  const text = `\n\n${where}\n\n${head}\n${rows.join('\n')}\n\n${pictures}\n`
  await writeFile(page, between(await readFile(page, 'utf8'), marks, text))
}
