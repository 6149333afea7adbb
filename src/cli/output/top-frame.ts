/**
 * One picture of `parentfs top`: what happened between two statuses. Pure.
 */
import type { Status } from '../../admin/status.ts'
import { addLatencies, type LatencyCounts, latenciesSince, latencyQuantile } from '../../base/latency-histogram.ts'
import type { ImageStatus } from '../../cache/cache-status.ts'
import { newTable, share, size, trimmed } from './tables.ts'

export interface FrameOptions {
  /** Between the two. */
  readonly seconds: number
  /** Lines that there is room for. */
  readonly rows: number
}

/** Rates a second. A daemon that was restarted in between begins at zero again. */
export function frameOf(before: Status, after: Status, { seconds, rows }: FrameOptions): string {
  const isSame = before.pid === after.pid
  const rate = (value: (status: Status) => number) =>
    Math.max(0, value(after) - (isSame ? value(before) : 0)) / Math.max(seconds, 0.001)
  const hits = rate(({ reads }) => reads.hits)
  const misses = rate(({ reads }) => reads.misses)
  const { cache, gauges, health, promotion, origin, scrub } = after
  const took = (...sources: readonly (keyof Status['latencies'])[]) => {
    const all = ({ latencies }: Status) => addLatencies(...sources.map(source => latencies[source]))
    return quantiles(isSame ? latenciesSince(all(before), all(after)) : all(after))
  }
  const facts = newTable()
  facts.push(
    [after.mountpoint, `${after.state}, worker ${after.pid}, ${gauges.requests} requests under way`],
    [
      'hits',
      `${each(hits)}, ${bytesEach(rate(({ reads }) => reads.hitBytes))}, ${share(hits, hits + misses)} of reads${took('memory', 'disk', 'store')}`,
    ],
    [
      'misses',
      `${each(misses)}, ${bytesEach(rate(({ reads }) => reads.missBytes))}, ${gauges.inflightFetches} extents in flight${took('origin')}`,
    ],
    [
      'origin',
      `${each(rate(status => status.origin.requests))}, ${bytesEach(rate(status => status.origin.bytes))}, ${origin.errors} failed, ${origin.state}`,
    ],
    [
      'promoted',
      `${bytesEach(rate(status => status.promotion.promotedBytes))}, ${size(promotion.queuedBytes)} waiting, ${promotion.dropped} dropped`,
    ],
    ['evicted', bytesEach(rate(({ eviction }) => eviction.bytes))],
    ['scrub', `${bytesEach(rate(status => status.scrub.verifiedBytes))}, ${scrub.corruptBlocks} damaged blocks`],
    [
      'cache',
      `${size(cache.usedBytes)} of ${size(cache.capacityBytes)} (${share(cache.usedBytes, cache.capacityBytes)})`,
    ],
    ['cache disk', health.state === 'healthy' ? health.state : `${health.state}: ${health.reason}`],
  )
  const text = `${facts}`
  const left = rows - text.split('\n').length - 2
  const images = left > 0 ? tableOfImages(isSame ? before.images : [], after.images, seconds, left) : ''
  return trimmed(images === '' ? text : `${text}\n\n${images}`)
}

/** The busiest first; images without reads and without growth come last. */
function tableOfImages(
  before: readonly ImageStatus[],
  after: readonly ImageStatus[],
  seconds: number,
  rows: number,
): string {
  const earlier = new Map(before.map(image => [image.name, image]))
  const changes = after.map(image => {
    // Another version begins anew.
    const was = earlier.get(image.name)
    const from = was?.validator === image.validator ? was : null
    const hits = Math.max(0, image.hits - (from?.hits ?? 0))
    const hitBytes = Math.max(0, image.hitBytes - (from?.hitBytes ?? 0))
    const missed = Math.max(0, image.misses - (from?.misses ?? 0))
    const missedMs = Math.max(0, image.missMs - (from?.missMs ?? 0))
    const missedBytes = Math.max(0, image.missBytes - (from?.missBytes ?? 0))
    const grownBytes = image.residentBytes - (from?.residentBytes ?? 0)
    const busy = hitBytes + missedBytes + Math.abs(grownBytes)
    return { image, hits, hitBytes, missed, missedMs, missedBytes, grownBytes, busy }
  })
  changes.sort((a, b) => b.busy - a.busy)
  const table = newTable(['IMAGE', 'HITS', 'HIT', 'MISSES', 'MISSED', 'LATENCY', 'GROWTH', 'RESIDENT', 'OPEN'])
  for (const { image, hits, hitBytes, missed, missedMs, missedBytes, grownBytes } of changes.slice(0, rows - 1)) {
    const latency = missed === 0 ? '-' : `${(missedMs / missed).toFixed(1)} ms`
    const growth = `${grownBytes < 0 ? '-' : ''}${bytesEach(Math.abs(grownBytes) / seconds)}`
    const resident = image.complete ? 'complete' : share(image.residentBytes, image.sizeBytes)
    table.push([
      image.name,
      each(hits / seconds),
      bytesEach(hitBytes / seconds),
      each(missed / seconds),
      bytesEach(missedBytes / seconds),
      latency,
      growth,
      resident,
      image.open ? 'yes' : '-',
    ])
  }
  return changes.length === 0 ? '' : table.toString()
}

function quantiles(counted: LatencyCounts): string {
  const [half, most] = [latencyQuantile(counted, 0.5), latencyQuantile(counted, 0.99)]
  return half === null || most === null ? '' : `, p50 ${time(half)}, p99 ${time(most)}`
}

function time(seconds: number): string {
  if (seconds === Number.POSITIVE_INFINITY) return 'over 30 s'
  if (seconds >= 1) return `${seconds.toFixed(1)} s`
  return seconds >= 0.001 ? `${(seconds * 1000).toFixed(1)} ms` : `${Math.ceil(seconds * 1_000_000)} µs`
}

function each(count: number): string {
  return `${count >= 100 ? Math.round(count) : count.toFixed(1)}/s`
}

function bytesEach(bytes: number): string {
  return `${size(Math.round(bytes))}/s`
}
