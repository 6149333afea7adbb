/** Scenes and questions of the comparison, and the samples that answer them. */

/** The work of a contender between its start and its end. */
export type LifeKind = 'misses' | 'first' | 'sequential' | 'boot' | 'storm' | 'complete'

/** A place of the origin, and the work there. Each contender lives it once in every round. */
export interface Scene {
  readonly id: string
  readonly title: string
  readonly life: LifeKind
  /** Before each answer. */
  readonly delayMs: number
  /** Of all bodies together; null: no cap. */
  readonly bytesPerSecond: number | null
  /** A part of `make bench QUICK=1`. */
  readonly isQuick: boolean
}

const MiB = 2 ** 20

export const scenes: readonly Scene[] = [
  scene('near', 'Cold 4 KiB, origin 0 ms away', 'misses', 0, null, true),
  scene('2ms', 'Cold 4 KiB, origin 2 ms away', 'misses', 2),
  scene('10ms', 'A new process, origin 10 ms away', 'first', 10, null, true),
  scene('link', 'In sequence, origin 10 ms and 2 Gbit/s away', 'sequential', 10, 2e9 / 8, true),
  scene('boot', 'A recorded boot, origin 10 ms away', 'boot', 10),
  scene('boot-cap', 'A recorded boot, origin 10 ms and 100 MiB/s away', 'boot', 10, 100 * MiB, true),
  scene('storm', '64 cold readers, origin 10 ms and 400 MiB/s away', 'storm', 10, 400 * MiB),
  scene('complete', 'All of the image in the cache', 'complete', 0, null, true),
]

function scene(
  id: string,
  title: string,
  life: LifeKind,
  delayMs: number,
  bytesPerSecond: number | null = null,
  isQuick = false,
): Scene {
  return { id, title, life, delayMs, bytesPerSecond, isQuick }
}

/** A row of the tables. */
export interface Question {
  readonly id: string
  readonly life: LifeKind
  readonly title: string
  /** Of its value. */
  readonly unit: 'us' | 'ms' | 's' | 'MiB/s' | 'reads/s' | 'MiB' | 'reads'
  readonly better: 'lower' | 'higher'
}

const row = (life: LifeKind, id: string, title: string, unit: Question['unit']): Question => {
  return { id, life, title, unit, better: unit.endsWith('/s') ? 'higher' : 'lower' }
}

export const questions: readonly Question[] = [
  row('misses', 'cold-4k', 'random 4 KiB, one at a time, p50', 'us'),
  row('misses', 'cold-16', 'random 4 KiB, 16 threads', 'reads/s'),
  row('misses', 'cold-bytes', 'fetched for all of these', 'MiB'),
  row('misses', 'cold-js', 'main-thread time for each of the latter', 'us'),
  row('first', 'first-64', 'the first 64 random 4 KiB reads, mean', 'ms'),
  row('first', 'first-64-over', 'the same, over the trip', 'ms'),
  row('first', 'first-64-bytes', 'the same, fetched', 'MiB'),
  row('first', 'herd', '16 readers of one 4 KiB block, until all have it', 'ms'),
  row('first', 'restart-bytes', 'the same 64 reads after a restart, fetched', 'MiB'),
  row('sequential', 'sequential', '256 MiB, buffered', 'MiB/s'),
  row('sequential', 'random-after', 'random 4 KiB, O_DIRECT, right after it', 'reads/s'),
  row('sequential', 'sequential-bytes', 'fetched for both', 'MiB'),
  row('boot', 'boot', 'until it is up', 's'),
  row('boot', 'boot-bytes', 'fetched', 'MiB'),
  row('boot', 'boot-waits', 'reads that waited for the origin', 'reads'),
  row('boot', 'boot-warm', 'the same boot again', 's'),
  row('storm', 'storm-reads', 'half random 4 KiB, half 128 KiB in sequence', 'reads/s'),
  row('storm', 'storm-lag', 'lateness of the event loop, p99', 'ms'),
  row('storm', 'storm-memory', 'private memory, at most', 'MiB'),
  row('complete', 'warm-4k-qd1', 'random 4 KiB, O_DIRECT, 1 outstanding, for each', 'us'),
  row('complete', 'warm-4k-qd32', 'random 4 KiB, O_DIRECT, 32 outstanding, for each', 'us'),
  row('complete', 'warm-4k-4jobs', 'random 4 KiB, O_DIRECT, 4 processes, for each', 'us'),
  row('complete', 'warm-1m-qd4', '1 MiB in sequence, O_DIRECT, 4 outstanding, for each', 'us'),
  row('complete', 'warm-4k-buffered', 'random 4 KiB, page cache of the file dropped before', 'reads/s'),
  row('complete', 'warm-1m-buffered', '1 MiB in sequence, page cache of the file dropped before', 'MiB/s'),
  row('complete', 'reopen', 'opened again and read through', 'MiB/s'),
]

export interface Sample {
  readonly question: string
  readonly contender: string
  /** {@link Scene.id} */
  readonly scene: string
  readonly round: number
  readonly value: number
  /** Of all processes of the contender, during the question; private memory is that at its end. */
  readonly cpuMs: number
  readonly rssAnonBytes: number
}

/** A contender without a value. */
export interface Failure {
  readonly contender: string
  readonly scene: string
  readonly round: number
  readonly reason: string
}
