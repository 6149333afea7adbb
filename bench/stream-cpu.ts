/**
 * CPU seconds of the worker for each GiB of a cold sequential stream, by thread and by user and kernel time.
 *
 *   node build/bench/stream-cpu.js [--rounds 5] [--mebibytes 1024] [--schemes http,https] [--readers direct,buffered]
 *     [--trees /built/tree,/another] [--link GBITS]
 *
 * `dd` reads a new mount once, a MiB at a time, from nginx, which serves from the page cache. Counted is the worker
 * alone, from the first read until it rests: neither `dd` nor nginx. Several trees alternate within each round, and a
 * ratio is taken within one. Needs root, nginx and openssl; with --link iproute2.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { makeCertificate } from '../test/fixtures/certificate.ts'
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
    schemes: { type: 'string', default: 'http,https' },
    readers: { type: 'string', default: 'direct,buffered' },
    trees: { type: 'string', default: process.cwd() },
    link: { type: 'string' },
  },
})
const imageMiB = Number(values.mebibytes)
const trees = values.trees.split(',')
const home = await mkdtemp(join(tmpdir(), 'parentfs-stream-cpu-'))

interface Pass {
  readonly mebibytesPerSecond: number
  /** By the name of threads; `all` is the process. */
  readonly threads: ReadonlyMap<string, Use>
  readonly requests: number
  /** Share of the image that was promoted. */
  readonly promoted: number
}

try {
  await main()
} finally {
  await rm(home, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const { processors, processor, kernel, load } = await describeMachine('')
  console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}; ${values.rounds} rounds`)
  await mkdir(join(home, 'images'))
  writeSample(join(home, 'images', 'image.raw'), { seed: 11, sizeBytes: imageMiB * 2 ** 20, dataShare: 1 })
  const link = values.link === undefined ? null : openLink()
  link?.limit(Number(values.link))
  try {
    for (const scheme of values.schemes.split(',')) {
      const address = link?.address ?? '127.0.0.1'
      const tls = scheme === 'https' ? makeCertificate(home, `IP:${address}`) : null
      const server = await startNginx({
        ...{ directory: join(home, 'images'), listing: 'json' },
        ...(link ? { at: link } : {}),
        ...(tls ? { tls } : {}),
      })
      try {
        for (const reader of values.readers.split(',')) {
          const passes = await alternate(server.url, tls?.certificate ?? null, reader === 'direct')
          for (const [tree, own] of passes) print(`${scheme}, ${reader}, ${tree}`, own, passes.get(trees[0]!)!)
        }
      } finally {
        await server.close()
      }
    }
  } finally {
    link?.close()
  }
}

async function alternate(url: string, ca: string | null, isDirect: boolean): Promise<Map<string, Pass[]>> {
  const passes = new Map<string, Pass[]>(trees.map(tree => [tree, []]))
  for (let round = 0; round < Number(values.rounds); round++) {
    const order = round % 2 === 0 ? trees : trees.toReversed()
    for (const tree of order) passes.get(tree)!.push(await pass(tree, url, ca, isDirect))
  }
  return passes
}

async function pass(tree: string, url: string, ca: string | null, isDirect: boolean): Promise<Pass> {
  const directory = await mkdtemp(join(home, 'cold-'))
  const [config, mountpoint] = [join(directory, 'parentfs.yaml'), join(directory, 'mnt')]
  await mkdir(mountpoint)
  const origin = `origin: { url: "${url}"${ca ? `, ca: "${ca}"` : ''} }`
  await writeFile(config, `${origin}\ncache: { directory: "${join(directory, 'cache')}", capacity: 4GiB }\n`)
  const run = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, [join(tree, 'dist/cli/main.js'), ...args])).stdout
  const status = async () => JSON.parse(await run('status', mountpoint, '--json')) as Status
  await run('mount', mountpoint, '--config', config, '--background')
  try {
    const { pid } = await status()
    await promisify(execFile)('ls', ['-l', mountpoint])
    await untilRests(pid)
    const before = await used(pid)
    const startedMs = performance.now()
    const args = [`if=${join(mountpoint, 'image.raw')}`, 'of=/dev/null', 'bs=1M', 'status=none']
    await promisify(execFile)('dd', [...args, ...(isDirect ? ['iflag=direct'] : [])])
    const seconds = (performance.now() - startedMs) / 1000
    await untilRests(pid)
    const threads = difference(await used(pid), before)
    const { origin, promotion } = await status()
    const promoted = promotion.promotedBytes / (imageMiB * 2 ** 20)
    return { mebibytesPerSecond: imageMiB / seconds, threads, requests: origin.requests, promoted }
  } finally {
    await run('unmount', mountpoint)
    await rm(directory, { recursive: true })
  }
}

function print(title: string, passes: readonly Pass[], reference: readonly Pass[]): void {
  const perGiB = (seconds: number) => (seconds * 1024) / imageMiB
  const total = ({ threads }: Pass) => perGiB(threads.get('all')!.user + threads.get('all')!.system)
  const ratios = passes.map((each, k) => total(each) / total(reference[k]!))
  const ratio = passes === reference ? '' : `, ratio ${spread(ratios)}`
  console.log(`\n${title}: ${spread(passes.map(total))} CPU seconds a GiB${ratio}`)
  const others = [passes.map(each => each.mebibytesPerSecond), passes.map(each => each.requests)] as const
  const promoted = spread(passes.map(each => each.promoted))
  console.log(`    ${spread(others[0])} MiB/s, ${spread(others[1])} requests, promoted ${promoted}`)
  for (const name of new Set(passes.flatMap(({ threads }) => [...threads.keys()]))) {
    const of = (part: keyof Use) => median(passes.map(({ threads }) => perGiB(threads.get(name)?.[part] ?? 0)))
    if (of('user') + of('system') >= 0.005)
      console.log(`    ${name.padEnd(8)} user ${of('user').toFixed(2)} kernel ${of('system').toFixed(2)}`)
  }
}
