/**
 * Cost of proofs: a cold sequential read of a sealed image with its hash tree checked, beside the same without.
 *
 *   node build/bench/verity.js [--rounds 5] [--mebibytes 1024] [--readers direct,buffered] [--link GBITS]
 *
 * `dd` reads a new mount once, a MiB at a time, from nginx, which serves from the page cache. Both ways alternate within
 * each round, and a ratio is taken within one. Counted are the CPU seconds of the worker, from the first read until it
 * rests. Needs root and nginx; with --link iproute2.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { writeSample } from '../test/fixtures/images.ts'
import { startNginx } from '../test/fixtures/nginx.ts'
import { openLink } from './link/link.ts'
import { describeMachine } from './report/machine.ts'
import { median, spread } from './report/ratios.ts'
import { difference, type Use, untilRests, used } from './report/thread-cpu.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '1024' },
    readers: { type: 'string', default: 'direct,buffered' },
    link: { type: 'string' },
  },
})
const ways = ['off', 'require'] as const
type Way = (typeof ways)[number]

interface Pass {
  readonly mebibytesPerSecond: number
  /** By the name of threads; `all` is the process. */
  readonly threads: ReadonlyMap<string, Use>
}

const imageMiB = Number(values.mebibytes)
const program = join(process.cwd(), 'dist/cli/main.js')
const execute = promisify(execFile)
const home = await mkdtemp(join(tmpdir(), 'parentfs-verity-'))
try {
  await main()
} finally {
  await rm(home, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const { processors, processor, kernel, load } = await describeMachine('')
  const hasShaNi = /\bsha_ni\b/.test(await readFile('/proc/cpuinfo', 'utf8'))
  const how = `${hasShaNi ? 'with' : 'without'} SHA-NI`
  console.log(`${processors} x ${processor}, ${how}, Linux ${kernel}, load ${load.toFixed(1)}; ${values.rounds} rounds`)
  const image = join(home, 'images', 'image.raw')
  await mkdir(join(home, 'images'))
  writeSample(image, { seed: 11, sizeBytes: imageMiB * 2 ** 20, dataShare: 1 })
  const startedMs = performance.now()
  await execute(process.execPath, [program, 'seal', image])
  console.log(`sealed at ${((imageMiB * 1000) / (performance.now() - startedMs)).toFixed(0)} MiB/s`)
  const link = values.link === undefined ? null : openLink()
  link?.limit(Number(values.link))
  try {
    const server = await startNginx({ directory: join(home, 'images'), listing: 'json', ...(link ? { at: link } : {}) })
    try {
      for (const reader of values.readers.split(',')) report(reader, await alternate(server.url, reader === 'direct'))
    } finally {
      await server.close()
    }
  } finally {
    link?.close()
  }
}

async function alternate(url: string, isDirect: boolean): Promise<Record<Way, Pass[]>> {
  const passes: Record<Way, Pass[]> = { off: [], require: [] }
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) passes[way].push(await pass(url, way, isDirect))
  }
  return passes
}

async function pass(url: string, way: Way, isDirect: boolean): Promise<Pass> {
  const directory = await mkdtemp(join(home, 'cold-'))
  const [config, mountpoint] = [join(directory, 'parentfs.yaml'), join(directory, 'mnt')]
  await mkdir(mountpoint)
  const origin = `origin: { url: "${url}", verify: { verity: ${way} } }`
  await writeFile(config, `${origin}\ncache: { directory: "${join(directory, 'cache')}", capacity: 4GiB }\n`)
  const run = async (...args: string[]) => (await execute(process.execPath, [program, ...args])).stdout
  await run('mount', mountpoint, '--config', config, '--background')
  try {
    const { pid } = JSON.parse(await run('status', mountpoint, '--json')) as Status
    await execute('ls', ['-l', mountpoint])
    await untilRests(pid)
    const before = await used(pid)
    const startedMs = performance.now()
    const args = [`if=${join(mountpoint, 'image.raw')}`, 'of=/dev/null', 'bs=1M', 'status=none']
    await execute('dd', [...args, ...(isDirect ? ['iflag=direct'] : [])])
    const seconds = (performance.now() - startedMs) / 1000
    await untilRests(pid)
    return { mebibytesPerSecond: imageMiB / seconds, threads: difference(await used(pid), before) }
  } finally {
    await run('unmount', mountpoint)
    await rm(directory, { recursive: true })
  }
}

function report(reader: string, { off, require: proven }: Record<Way, Pass[]>): void {
  const rates = (passes: readonly Pass[]) => passes.map(({ mebibytesPerSecond }) => mebibytesPerSecond)
  const ratios = rates(proven).map((rate, k) => rate / rates(off)[k]!)
  console.log(`\n${reader}: ${spread(ratios)} of the rate without proof`)
  for (const [way, passes] of [['without', off] as const, ['proven', proven] as const]) {
    const seconds = passes.map(({ threads }) => perGiB(sum(threads.get('all')!)))
    console.log(`    ${way}: ${spread(rates(passes))} MiB/s, ${spread(seconds)} CPU seconds a GiB`)
    for (const name of new Set(passes.flatMap(({ threads }) => [...threads.keys()]))) {
      const of = (part: keyof Use) => median(passes.map(({ threads }) => perGiB(threads.get(name)?.[part] ?? 0)))
      if (of('user') + of('system') < 0.005) continue
      console.log(`        ${name.padEnd(8)} user ${of('user').toFixed(2)} kernel ${of('system').toFixed(2)}`)
    }
  }
}

function sum({ user, system }: Use): number {
  return user + system
}

function perGiB(seconds: number): number {
  return (seconds * 1024) / imageMiB
}
