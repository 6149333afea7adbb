/** One run of bench/ceph-reader.cc: given offsets, read through librbd alone or from a file. */
import { start } from '../../test/fixtures/run.ts'

export interface Reading {
  /** Reads at once. */
  readonly depth: number
  readonly lengthBytes: number
  /** 0: each offset once. */
  readonly seconds: number
  readonly offsets: readonly number[]
}

export interface ReadingResult {
  readonly reads: number
  readonly mibPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  /** Of all bytes: equal where equal bytes were read. */
  readonly sum: string
}

/**
 * @param source `librbd CONF POOL IMAGE SNAPSHOT` or `file PATH`
 * @throws Error when a read failed
 */
export async function read(
  source: readonly string[],
  { depth, lengthBytes, seconds, offsets }: Reading,
): Promise<ReadingResult> {
  const args = [String(depth), String(lengthBytes), String(seconds), ...source]
  const { child, ended } = start('native-bindings/build/ceph-reader', args, { stdin: 'pipe' })
  child.stdin!.end(`${offsets.join('\n')}\n`)
  const { code, stdout, stderr } = await ended
  if (code !== 0) throw new Error(`ceph-reader ${args.join(' ')}: ${stderr}`)
  return JSON.parse(stdout.toString()) as ReadingResult
}
