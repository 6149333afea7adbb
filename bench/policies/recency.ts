/**
 * Promotions of an LRU cache that keeps only what was used recently: `minReadRecency` over a trace.
 *
 * A hit set is the units that were asked for in one of 24 equal parts of the trace, which stand for the hours of a day.
 * A unit that is missing is promoted when it was asked for before in one of the newest sets.
 */
import { Queue } from './queue.ts'

const periods = 24

export interface PromotionCounts {
  /** Units promoted for each unit that was asked for. */
  readonly promoted: number
  readonly hits: number
}

export function promotionsOf(
  references: Uint32Array,
  footprint: number,
  capacity: number,
  recency: number,
): PromotionCounts {
  const queue = new Queue(footprint)
  /** By unit: the period of its last use, counted from 1; 0: none. */
  const last = new Uint8Array(footprint)
  let [promoted, hits] = [0, 0]
  for (let at = 0; at < references.length; at++) {
    const unit = references[at]!
    const period = Math.floor((at * periods) / references.length) + 1
    const isRecent = recency === 0 || (last[unit]! > 0 && period - last[unit]! < recency)
    last[unit] = period
    if (queue.has(unit)) {
      hits++
      queue.remove(unit)
    } else if (isRecent) {
      promoted++
      if (queue.size === capacity) queue.shift()
    } else continue
    queue.push(unit)
  }
  return { promoted: promoted / references.length, hits: hits / references.length }
}
