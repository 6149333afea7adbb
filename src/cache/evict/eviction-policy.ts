/**
 * Eviction policy: decides which objects go first. Policies are pure: they see last uses and sizes, and name objects;
 * `evictor.ts` does the rest.
 */
import { TimeSlice } from '../../async/time-slice.ts'

/** An object that could be evicted, as a policy sees it. */
export interface ObjectUse {
  /** Tick of the last use. */
  readonly lastUse: number
  /** Bytes that its eviction frees. */
  readonly bytes: number
}

/**
 * `lru` is exact; `adaptive` resists one pass over much that is never used again; `temperature` takes first what is in
 * no hit set.
 */
export const evictionPolicies = ['lru', 'adaptive', 'temperature'] as const
export type EvictionPolicyName = (typeof evictionPolicies)[number]

/** It hit more on every trace that was tried: docs/BENCHMARKS.md. */
export const evictionPolicyDefault: EvictionPolicyName = 'adaptive'

export interface EvictionPolicy<T extends ObjectUse = ObjectUse> {
  readonly name: string
  /**
   * Objects to evict, coldest first, that free at least `bytesWanted` together, or all there are.
   * Requests have their turns meanwhile: what is used in between may be among them, and what is added not.
   * @param objects walks all objects afresh at each call
   */
  choose(objects: () => Iterable<T>, bytesWanted: number): Promise<T[]>
}

/** Buckets of one histogram: three narrowings find one tick among 2^32. */
const buckets = 4096
/** A bucket with no more objects than this is sorted instead of narrowed. */
const sortedMax = 4096

/**
 * Exact least-recently-used: no object that stays was used before one that goes. A histogram over last uses is narrowed
 * until the tick at which enough is freed is known; only the objects around it are sorted, never the whole table.
 */
export class LruPolicy<T extends ObjectUse> implements EvictionPolicy<T> {
  readonly name = 'lru'

  async choose(objects: () => Iterable<T>, bytesWanted: number): Promise<T[]> {
    const turns = new TimeSlice() // One for all walks: each alone may be short.
    const limit = await this.#limit(objects, bytesWanted, turns)
    const cold: T[] = []
    await this.#walk(objects, turns, object => {
      if (object.lastUse < limit) cold.push(object)
    })
    cold.sort((a, b) => a.lastUse - b.lastUse)
    let bytes = 0
    const enough = cold.findIndex(object => {
      bytes += object.bytes
      return bytes >= bytesWanted
    })
    return enough < 0 ? cold : cold.slice(0, enough + 1)
  }

  /** A tick such that the objects last used before it free enough, and few more than needed. */
  async #limit(objects: () => Iterable<T>, bytesWanted: number, turns: TimeSlice): Promise<number> {
    let low = 0
    let width = 2 ** 32 / buckets
    let below = 0 // Bytes of the objects used before `low`.
    for (;;) {
      const bytes = new Float64Array(buckets)
      const counts = new Uint32Array(buckets)
      const [from, step] = [low, width]
      await this.#walk(objects, turns, object => {
        const bucket = Math.floor((object.lastUse - from) / step)
        if (bucket < 0 || bucket >= buckets) return
        bytes[bucket]! += object.bytes
        counts[bucket]! += 1
      })
      let bucket = 0
      while (bucket < buckets && below + bytes[bucket]! < bytesWanted) below += bytes[bucket++]!
      if (bucket === buckets) return Number.POSITIVE_INFINITY
      if (width === 1 || counts[bucket]! <= sortedMax) return low + (bucket + 1) * width
      low += bucket * width
      width = Math.max(1, width / buckets)
    }
  }

  /** Look at all objects, a few milliseconds at a time: a quarter of a million take 40. */
  async #walk(objects: () => Iterable<T>, turns: TimeSlice, look: (object: T) => void): Promise<void> {
    for (const object of objects()) {
      if (turns.isOver) await turns.yield()
      look(object)
    }
  }
}
