/** What the comparison measures, and how a value is read. */

/** A question that is asked of every contender. */
export interface Question {
  readonly id: string
  readonly title: string
  /** Of its value. */
  readonly unit: 'ms' | 's' | 'MiB/s' | 'reads/s' | 'MiB'
  readonly better: 'lower' | 'higher'
}

const lower = (id: string, title: string, unit: Question['unit']): Question => ({ id, title, unit, better: 'lower' })
const higher = (id: string, title: string, unit: Question['unit']): Question => ({ id, title, unit, better: 'higher' })

/** Asked at each distance of the origin, from an empty cache. */
export const coldQuestions: readonly Question[] = [
  lower('cold-random', 'cold, 64 random 4 KiB reads, median', 'ms'),
  lower('cold-random-bytes', 'cold, 64 random 4 KiB reads, fetched', 'MiB'),
  lower('herd', '16 readers of one cold 4 KiB block, until all have it', 'ms'),
  lower('restart-bytes', 'the same 64 reads after a restart, fetched', 'MiB'),
  higher('cold-16-threads', 'cold, 16 threads of random 4 KiB reads', 'reads/s'),
  higher('cold-sequential', 'cold, sequential, buffered', 'MiB/s'),
  lower('cold-sequential-bytes', 'cold, sequential, fetched', 'MiB'),
  lower('boot-cold', 'a recorded boot, cold', 's'),
  lower('boot-cold-bytes', 'a recorded boot, cold, fetched', 'MiB'),
  lower('boot-warm', 'the same boot, warm', 's'),
]

/** Asked once, with all of the image in the cache: the origin is not asked any more. */
export const warmQuestions: readonly Question[] = [
  higher('warm-4k-qd1', 'warm 4 KiB random, direct, 1 outstanding', 'reads/s'),
  higher('warm-4k-qd32', 'warm 4 KiB random, direct, 32 outstanding', 'reads/s'),
  higher('warm-4k-4jobs', 'warm 4 KiB random, direct, 4 processes', 'reads/s'),
  higher('warm-1m-qd4', 'warm 1 MiB sequential, direct, 4 outstanding', 'MiB/s'),
  higher('warm-4k-buffered', 'warm 4 KiB random, buffered, page cache of the file dropped before', 'reads/s'),
  higher('warm-1m-buffered', 'warm 1 MiB sequential, buffered, page cache of the file dropped before', 'MiB/s'),
  higher('reopen', 'the same file opened again and read through', 'MiB/s'),
]

/** How far away an origin is. */
export interface Distance {
  readonly delayMs: number
  readonly bytesPerSecond: number | null
}

export function nameOf({ delayMs, bytesPerSecond }: Distance): string {
  return `${delayMs} ms, ${bytesPerSecond === null ? 'no cap' : `${bytesPerSecond / 2 ** 20} MiB/s`}`
}

export interface Sample {
  readonly question: string
  readonly contender: string
  /** {@link nameOf}; null where no origin is asked. */
  readonly distance: string | null
  readonly round: number
  readonly value: number
  /** Of all its processes while it was asked, and what they held of their own afterwards. */
  readonly cpuMs: number
  readonly rssAnonBytes: number
}

/** A contender that gave no value, and why. */
export interface Failure {
  readonly contender: string
  readonly distance: string | null
  readonly round: number
  readonly reason: string
}
