/**
 * Latency histogram with buckets that double: counts made here and by the native threads can be added up.
 */

/**
 * Bucket k counts latencies of at most 2^k microseconds and more than half of that; the last one those over 33.6 s. The
 * same as in native-bindings/session/latencies.h.
 */
export const latencyBuckets = 27

/** Upper bounds of all buckets but the last, in seconds. */
export const latencyBoundsSeconds: readonly number[] = Array.from(
  { length: latencyBuckets - 1 },
  (_, k) => 2 ** k / 1_000_000,
)

/** A snapshot. */
export interface LatencyCounts {
  /** The count in each of {@link latencyBuckets}. */
  readonly counts: readonly number[]
  /** The sum of all. */
  readonly sumSeconds: number
}

export const noLatencies: LatencyCounts = { counts: new Array<number>(latencyBuckets).fill(0), sumSeconds: 0 }

export class LatencyHistogram {
  readonly #counts = new Array<number>(latencyBuckets).fill(0)
  #sumMs = 0

  /** One more that took so long. */
  add(ms: number): void {
    const microseconds = Math.ceil(ms * 1000)
    const bucket = microseconds <= 1 ? 0 : Math.ceil(Math.log2(microseconds))
    this.#counts[Math.min(bucket, latencyBuckets - 1)]!++
    this.#sumMs += Math.max(0, ms)
  }

  snapshot(): LatencyCounts {
    return { counts: [...this.#counts], sumSeconds: this.#sumMs / 1000 }
  }
}

/** All of them together. */
export function addLatencies(...parts: readonly LatencyCounts[]): LatencyCounts {
  const counts = noLatencies.counts.map((_, k) => parts.reduce((sum, part) => sum + part.counts[k]!, 0))
  return { counts, sumSeconds: parts.reduce((sum, part) => sum + part.sumSeconds, 0) }
}

/** The latencies since `before`. */
export function latenciesSince(before: LatencyCounts, after: LatencyCounts): LatencyCounts {
  return {
    counts: after.counts.map((count, k) => Math.max(0, count - before.counts[k]!)),
    sumSeconds: Math.max(0, after.sumSeconds - before.sumSeconds),
  }
}

/**
 * The latency in seconds that this share (0 to 1) of them did not exceed, as well as the buckets tell: within a bucket
 * they are taken as spread evenly, as Prometheus does. Null when there were none; Infinity in the last bucket. Source:
 * Prometheus, functions, histogram_quantile.
 */
export function latencyQuantile({ counts }: LatencyCounts, share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  let below = 0
  for (const [k, count] of counts.entries()) {
    if (count > 0 && below + count >= share * total) {
      const upper = latencyBoundsSeconds[k]
      if (upper === undefined) return Number.POSITIVE_INFINITY
      const lower = latencyBoundsSeconds[k - 1] ?? 0
      return lower + (upper - lower) * ((share * total - below) / count)
    }
    below += count
  }
  return null
}
