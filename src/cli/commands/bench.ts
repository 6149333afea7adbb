/**
 * `parentfs bench`: measures reads of an image through its mount, beside reads of a plain file on the same disk as the
 * cache. fio measures where it is installed; otherwise dd reads from front to end.
 */
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fetchStatus } from '../../admin/admin-client.ts'
import { requestLong } from '../../admin/progress-client.ts'
import { CacheError } from '../../base/errors.ts'
import { newTable, size, trimmed } from '../output/tables.ts'
import { remark } from '../output/terminal-output.ts'
import { benchBytesMax, benchJobSeconds, diskProbeMsMax } from './limits.ts'
import { runProgram } from './run-program.ts'
import { findImage, noDaemon } from './target.ts'

interface Job {
  readonly name: string
  readonly arguments: readonly string[]
}

/** One measurement: reads and bytes a second, and the latency in milliseconds. */
export interface Measured {
  readonly name: string
  readonly of: 'mount' | 'disk'
  readonly iops: number
  readonly bytesPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const jobs: readonly Job[] = [
  { name: '4 KiB, one at a time', arguments: ['--rw=randread', '--bs=4k', '--iodepth=1'] },
  { name: '4 KiB, 32 at once', arguments: ['--rw=randread', '--bs=4k', '--iodepth=32'] },
  { name: '1 MiB, in order', arguments: ['--rw=read', '--bs=1M', '--iodepth=4'] },
]

/** @returns the exit code. @throws CacheError not-found, invalid-argument, store-failed, closed */
export async function bench(image: string, path: string | null, json: boolean): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const status = await fetchStatus(socket)
  if (!status) throw await noDaemon(mountpoint)
  const file = join(mountpoint, name)
  if (!existsSync(file)) throw new CacheError('not-found', `${file} does not exist: "parentfs images" lists the names`)
  const bytes = Math.min(statSync(file).size, benchBytesMax)
  if (bytes < 1024 ** 2) throw new CacheError('invalid-argument', `${name} has under 1 MiB: choose a larger image`)
  remark(`bringing ${size(bytes)} of ${name} into the cache`)
  await requestLong(socket, 'promote', { image: name, ranges: [{ from: 0, to: bytes }] }, { onProgress: () => {} })
  const scratch = await mkdtemp(join(dirname(status.cache.directory), '.parentfs-bench-'))
  try {
    const raw = join(scratch, 'raw')
    const count = Math.floor(bytes / 1024 ** 2)
    // The image's own bytes: zeros would be holes or compressed away on some disks.
    const copied = await dd(`if=${file}`, `of=${raw}`, `count=${count}`, 'oflag=direct', 'conv=fsync')
    if (copied.code !== 0) throw new CacheError('store-failed', `${scratch}: ${copied.stderr.trim()}`)
    const measured: Measured[] = []
    for (const job of jobs) {
      for (const [of, target] of [['mount', file] as const, ['disk', raw] as const]) {
        const result = await measure(job, of, target, count * 1024 ** 2)
        if (result) measured.push(result)
      }
    }
    if (measured.length === 0) measured.push(...(await byDd(file, raw, count)))
    console.log(json ? JSON.stringify(measured, null, 2) : tableOf(measured))
    return 0
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

function dd(...args: readonly string[]) {
  return runProgram('dd', ['bs=1M', ...args], 3 * diskProbeMsMax)
}

interface FioReport {
  readonly jobs: readonly {
    readonly read: {
      readonly iops: number
      readonly bw_bytes: number
      readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> }
    }
  }[]
}

/** Null: fio is not installed. @throws CacheError store-failed */
async function measure(job: Job, of: Measured['of'], target: string, bytes: number): Promise<Measured | null> {
  const engine = ['--ioengine=libaio', '--direct=1', '--readonly', `--size=${bytes}`, '--output-format=json']
  const time = ['--time_based', `--runtime=${benchJobSeconds}`]
  const name = ['--name=read', `--filename=${target.replaceAll(':', '\\:')}`]
  const ran = await runProgram('fio', [...engine, ...time, ...job.arguments, ...name], 60_000)
  if (ran.isMissing) return null
  if (ran.code !== 0) throw new CacheError('store-failed', `fio: ${ran.stderr.trim().split('\n')[0]}`)
  const { read } = (JSON.parse(ran.stdout.slice(ran.stdout.indexOf('{'))) as FioReport).jobs[0]!
  const percentile = (at: string) => (read.clat_ns.percentile?.[at] ?? 0) / 1e6
  const latencies = { p50Ms: percentile('50.000000'), p99Ms: percentile('99.000000') }
  return { name: job.name, of, iops: read.iops, bytesPerSecond: read.bw_bytes, ...latencies }
}

/** In order only, and no latencies. */
async function byDd(file: string, raw: string, count: number): Promise<Measured[]> {
  remark('fio is not installed (apt-get install fio): one pass of dd in its place')
  const measured: Measured[] = []
  for (const [of, target] of [['mount', file] as const, ['disk', raw] as const]) {
    const { ms, code, stderr } = await dd(`if=${target}`, 'of=/dev/null', `count=${count}`, 'iflag=direct')
    if (code !== 0) throw new CacheError('store-failed', `dd: ${stderr.trim()}`)
    const iops = (count * 1000) / ms
    measured.push({ name: '1 MiB, in order', of, iops, bytesPerSecond: iops * 1024 ** 2, p50Ms: 0, p99Ms: 0 })
  }
  return measured
}

function tableOf(measured: readonly Measured[]): string {
  const table = newTable(['READS', 'OF', 'A SECOND', 'BYTES', 'P50', 'P99', 'MOUNT/DISK'])
  for (const { name, of, iops, bytesPerSecond, p50Ms, p99Ms } of measured) {
    const disk = measured.find(other => other.name === name && other.of === 'disk')
    const ratio = of === 'mount' && disk ? (bytesPerSecond / disk.bytesPerSecond).toFixed(2) : ''
    const time = (ms: number) => (ms === 0 ? '-' : `${ms.toFixed(2)} ms`)
    const rate = `${size(Math.round(bytesPerSecond))}/s`
    table.push([name, of, iops.toFixed(0), rate, time(p50Ms), time(p99Ms), ratio])
  }
  return trimmed(table.toString())
}
