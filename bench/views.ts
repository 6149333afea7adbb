/**
 * `node build/bench/views.js [--rounds 5] [--mib 512] [--seconds 5]`: warm 4 KiB reads at random, past the page cache of their reader,
 * of a raw view and of a qemu that reads the same packed image itself. Both servers run on this machine; one reader, one read at a time,
 * and 32 at once. Needs root, fio with its nbd engine, qemu-nbd and qemu-img.
 */
import { execFile, spawn } from 'node:child_process'
import { access, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { until } from '../test/fixtures/until.ts'
import { startParentfs } from './contenders/parentfs.ts'
import { describeMachine } from './report/machine.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mib: { type: 'string', default: '512' },
    seconds: { type: 'string', default: '5' },
  },
})
const MiB = 2 ** 20
const execute = promisify(execFile)
const kinds = {
  'qcow2, zlib': ['-O', 'qcow2', '-c'],
  'qcow2, zstd': ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd'],
  'vmdk, stream-optimised': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
} as const
const home = await mkdtemp(join(tmpdir(), 'parentfs-views-'))
try {
  const { processors, processor, kernel, load } = await describeMachine('')
  console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}`)
  const source = join(home, 'source.raw')
  await writeFile(source, programs(Number(values.mib)))
  for (const [kind, options] of Object.entries(kinds)) await compare(kind, options, source)
} finally {
  await rm(home, { recursive: true, force: true })
}

/** Bytes that pack to about a third, as programs and documents do: text, and noise between. */
function programs(mib: number): Buffer {
  const disk = Buffer.alloc(mib * MiB)
  let state = 1
  for (let at = 0; at < disk.length; at += 16) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223
    disk.writeUInt32LE(state >>> 0, at)
    disk.write(((at * 7919) % 46_656).toString(36).padEnd(12, ' text of a'), at + 4, 'latin1')
  }
  return disk
}

async function compare(kind: string, options: readonly string[], source: string): Promise<void> {
  const files = join(home, 'files')
  await mkdir(files)
  const format = options[1]!
  const packed = join(files, `a.${format}`)
  await execute('qemu-img', ['convert', '-f', 'raw', ...options, source, packed])
  const { size } = await stat(packed)
  console.log(`${kind}: ${(size / 1e6).toFixed(0)} MB of ${((Number(values.mib) * MiB) / 1e6).toFixed(0)}`)
  const origin = await spawnHttpOrigin({ directory: files })
  const directory = join(home, 'mounted')
  await mkdir(directory)
  const config = join(directory, 'p.yaml')
  const cache = `{ directory: "${join(directory, 'cache')}", capacity: 4GiB }`
  await writeFile(config, `origin: { url: "${origin.url}", views: [raw] }\ncache: ${cache}\n`)
  const place = { directory, originUrl: origin.url, imageName: 'a.raw', imagePath: packed }
  const running = await startParentfs(place, ['--config', config])
  const socket = join(home, 'nbd.sock')
  const nbd = spawn('qemu-nbd', ['--persistent', '--read-only', '--shared=0', '-f', format, '-k', socket, packed])
  try {
    await until(
      () =>
        access(socket).then(
          () => true,
          () => false,
        ),
      30_000,
      'qemu-nbd',
    )
    const startMs = performance.now()
    await execute('dd', [`if=${running.path}`, 'of=/dev/null', 'bs=1M', 'status=none'])
    console.log(
      `  cold, in reads of 1 MiB: ${(Number(values.mib) / ((performance.now() - startMs) / 1000)).toFixed(0)} MiB/s`,
    )
    await execute('cmp', [running.path, source])
    await until(
      async () => (await running.status()).images[0]?.complete === true,
      60_000,
      'all of the image in the store',
    )
    for (const depth of [1, 32]) {
      const [ours, theirs]: [number, number][][] = [[], []]
      for (let round = 0; round < Number(values.rounds); round++) {
        ours!.push(
          await randomReads(
            [`--ioengine=${depth === 1 ? 'psync' : 'libaio'}`, '--direct=1', `--filename=${running.path}`],
            depth,
          ),
        )
        theirs!.push(await randomReads(['--ioengine=nbd', `--uri=nbd+unix:///?socket=${socket}`], depth))
      }
      console.log(
        `  ${depth} at once: raw view ${spread(ours!)}; qemu-nbd ${spread(theirs!)}; ${ratio(ours!, theirs!)} times`,
      )
    }
  } finally {
    nbd.kill()
    await running.stop()
    await origin.close()
    await rm(directory, { recursive: true })
    await rm(files, { recursive: true })
  }
}

/** @returns reads a second, and the median latency in microseconds */
async function randomReads(words: readonly string[], depth: number): Promise<[number, number]> {
  const job = [
    '--name=a',
    '--rw=randread',
    '--bs=4k',
    '--time_based',
    `--runtime=${values.seconds}`,
    `--iodepth=${depth}`,
  ]
  const size = `--size=${values.mib}m`
  const { stdout } = await execute('fio', [...job, size, '--readonly', '--output-format=json', ...words])
  const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as Output
  const { iops, clat_ns } = jobs[0]!.read
  return [iops, clat_ns.percentile['50.000000']! / 1000]
}

interface Output {
  readonly jobs: readonly {
    readonly read: { readonly iops: number; readonly clat_ns: { readonly percentile: Record<string, number> } }
  }[]
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!
}

function spread(rounds: readonly (readonly [number, number])[]): string {
  const rates = rounds.map(([iops]) => Math.round(iops))
  const us = median(rounds.map(([, us]) => us))
  return `${median(rates)} reads/s (${Math.min(...rates)} to ${Math.max(...rates)}), p50 ${us.toFixed(0)} us`
}

/** The median of the ratios of rounds. */
function ratio(ours: readonly (readonly [number, number])[], theirs: readonly (readonly [number, number])[]): string {
  return median(ours.map(([iops], round) => iops / theirs[round]![0])).toFixed(1)
}
