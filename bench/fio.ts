/**
 * One run of fio on one file, by a job file of bench/jobs/.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Result of a run: rates of all its groups, latencies of the first. */
export interface FioResult {
  readonly iops: number
  readonly mibPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
}

interface FioOutput {
  readonly jobs: readonly {
    readonly error: number
    readonly read: {
      readonly iops: number
      readonly bw_bytes: number
      readonly clat_ns: { readonly percentile: Readonly<Record<string, number>> }
    }
  }[]
}

/**
 * @param job the path of a job file, which reads TARGET and SECONDS_A_RUN from its environment
 * @throws Error when fio fails or a read did
 */
export async function runFio(job: string, target: string, seconds: number): Promise<FioResult> {
  const env = { ...process.env, TARGET: target, SECONDS_A_RUN: String(seconds) }
  const { stdout } = await promisify(execFile)('fio', ['--readonly', '--output-format=json', job], { env })
  // fio may say something before its JSON.
  const output = JSON.parse(stdout.slice(stdout.indexOf('{'))) as FioOutput
  const failed = output.jobs.find(({ error }) => error !== 0)
  if (failed) throw new Error(`${job} on ${target}: fio met error ${failed.error}`)
  const groups = output.jobs.map(({ read }) => read)
  const { percentile } = groups[0]!.clat_ns
  return {
    iops: groups.reduce((sum, { iops }) => sum + iops, 0),
    mibPerSecond: groups.reduce((sum, { bw_bytes }) => sum + bw_bytes, 0) / 2 ** 20,
    p50Us: percentile['50.000000']! / 1000,
    p99Us: percentile['99.000000']! / 1000,
  }
}

/**
 * Take the pages of a file out of the page cache; what is dirty is written first. Source: dd(1), oflag=nocache with
 * count=0.
 */
export async function dropPages(path: string): Promise<void> {
  await promisify(execFile)('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'])
}
