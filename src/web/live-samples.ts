/**
 * Live samples: rates and latencies between two measurements, for the last minutes. One row of numbers a sample, so
 * that a page gets an hour in one short message.
 */
import { addLatencies, type LatencyCounts, latenciesSince, latencyQuantile } from '../base/latency-histogram.ts'
import { webSamplesMax } from './limits.ts'
import type { LiveStatus } from './live-status.ts'

/** The columns of a sample, in order; latencies are seconds, null without reads, bytes and counts are for a second. */
export const sampleColumns = [
  ...['atMs', 'seconds', 'hits', 'misses', 'hitBytes', 'missBytes'],
  ...['hitP50', 'hitP99', 'missP50', 'missP99'],
  ...['originRequests', 'originBytes', 'promotedBytes', 'evictedBytes', 'droppedPromotions'],
  ...['usedBytes', 'queuedBytes', 'requests', 'fetches', 'lagP99'],
] as const

export type LiveSample = readonly (number | null)[]

export class LiveSamples {
  readonly #samples: LiveSample[] = []
  #before: LiveStatus | null = null
  #beforeMs = 0

  /** The oldest first. */
  get all(): readonly LiveSample[] {
    return this.#samples
  }

  /**
   * Compare with the measurement of before.
   * @param nowMs never going back. @param atMs since 1970
   * @returns null for the first
   */
  add(after: LiveStatus, nowMs: number, atMs: number): LiveSample | null {
    const [before, seconds] = [this.#before, (nowMs - this.#beforeMs) / 1000]
    this.#before = after
    this.#beforeMs = nowMs
    if (!before || seconds <= 0) return null
    const sample = sampleOf(before, after, seconds, atMs)
    this.#samples.push(sample)
    if (this.#samples.length > webSamplesMax) this.#samples.shift()
    return sample
  }
}

function sampleOf(before: LiveStatus, after: LiveStatus, seconds: number, atMs: number): LiveSample {
  const rate = (value: (status: LiveStatus) => number) => rounded(Math.max(0, value(after) - value(before)) / seconds)
  const took = (...sources: readonly (keyof LiveStatus['latencies'])[]) => {
    const all = ({ latencies }: LiveStatus) => addLatencies(...sources.map(source => latencies[source]))
    return quantiles(latenciesSince(all(before), all(after)))
  }
  const lag = latenciesSince(before.eventLoopLag, after.eventLoopLag)
  return [
    ...[atMs, rounded(seconds), rate(({ reads }) => reads.hits), rate(({ reads }) => reads.misses)],
    ...[rate(({ reads }) => reads.hitBytes), rate(({ reads }) => reads.missBytes)],
    ...took('memory', 'disk', 'store'),
    ...took('origin'),
    ...[rate(({ origin }) => origin.requests), rate(({ origin }) => origin.bytes)],
    ...[rate(({ promotion }) => promotion.promotedBytes), rate(({ eviction }) => eviction.bytes)],
    ...[rate(({ promotion }) => promotion.dropped), after.cache.usedBytes, after.promotion.queuedBytes],
    ...[after.gauges.requests, after.gauges.inflightFetches, quantiles(lag)[1]!],
  ]
}

function quantiles(counts: LatencyCounts): (number | null)[] {
  return [0.5, 0.99].map(share => {
    const seconds = latencyQuantile(counts, share)
    // JSON has no infinity: the upper end of the last bucket but one stands for all over it.
    return seconds === null ? null : Number(Math.min(seconds, 64).toPrecision(4))
  })
}

function rounded(value: number): number {
  return Number(value.toPrecision(6))
}
