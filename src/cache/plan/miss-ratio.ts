/**
 * Miss ratio of a cache of another capacity, by a scaled-down simulation over the log of sampled uses.
 *
 * A sample of a share of the objects meets a cache of the same share of the bytes, and its counts are divided by the
 * share. Objects that are read more often than others may be in the sample or not: the reads of the whole mount are
 * known, and correct it, see {@link totalOf}. Read-ahead, recency and the write budget are not simulated.
 * Source: Waldspurger and others, "Cache Modeling and Optimization using Miniature Simulations", ATC 17.
 */
import { AdaptivePolicy } from '../evict/adaptive-policy.ts'
import { type EvictionPolicy, type EvictionPolicyName, LruPolicy } from '../evict/eviction-policy.ts'
import { LruList } from '../evict/eviction-queues.ts'
import { TemperaturePolicy } from '../evict/temperature-policy.ts'
import type { UseSample } from './use-log.ts'

export interface SimulatedCache {
  readonly capacityBytes: number
  readonly blockBytes: number
  /** Exact least-recently-used, one object at a time; or the cache's own policy, at its watermarks. */
  readonly policy: 'exact-lru' | EvictionPolicyName
  /** Level to which an eviction of the policy goes, as a share of the capacity. */
  readonly lowShare: number
}

/** Of all reads that were counted. */
export interface SimulatedMisses {
  readonly reads: number
  readonly misses: number
  readonly missRatio: number
  readonly originBytes: number
  /** Runs of missing blocks of one object. */
  readonly originRequests: number
}

interface HeldObject {
  readonly stored: object
  readonly object: number
  lastUse: number
  bytes: number
  low: number
  high: number
}

export async function simulate(sample: UseSample, cache: SimulatedCache): Promise<SimulatedMisses> {
  const { rate, files, objects, lows, highs, counts, countFrom, reads } = sample
  const held = newHeld(cache, Math.max(cache.blockBytes, cache.capacityBytes * rate), rate)
  const numbers = numbersOf(sample)
  const of = { reads: new Float64Array(numbers.length), misses: new Float64Array(numbers.length) }
  const origin = { blocks: new Float64Array(numbers.length), requests: new Float64Array(numbers.length) }
  for (let use = 0; use < files.length; use++) {
    const [low, high] = [lows[use]!, highs[use]!]
    const object = await held.use(files[use]! * 2 ** 32 + objects[use]!, use)
    const [lowMissing, highMissing] = [(low & ~object.low) >>> 0, (high & ~object.high) >>> 0]
    const number = numbers[use]!
    if (use >= countFrom) of.reads[number]! += counts[use]!
    if ((lowMissing | highMissing) === 0) continue
    const missing = onesOf(lowMissing) + onesOf(highMissing)
    if (use >= countFrom) {
      of.misses[number]! += Math.min(counts[use]!, missing)
      origin.blocks[number]! += missing
      origin.requests[number]! += runsOf(lowMissing, highMissing)
    }
    object.low |= lowMissing
    object.high |= highMissing
    await held.grow(object, missing * cache.blockBytes)
  }
  const total = (counted: Float64Array) => totalOf(counted, of.reads, rate, reads)
  const misses = Math.min(reads, total(of.misses))
  const originBytes = total(origin.blocks) * cache.blockBytes
  const missRatio = reads === 0 ? 0 : misses / reads
  return { reads, misses, missRatio, originBytes, originRequests: total(origin.requests) }
}

/**
 * The sum over all objects, of which a share is known by object: the regression estimator of a Poisson sample, with the
 * reads as the auxiliary variable. Where more reads of an object are hits it is the correction of SHARDS_adj; where
 * each read counts, it is the ratio to the sampled reads.
 * Source: Saerndal, Swensson and Wretman, "Model Assisted Survey Sampling", 6.4.
 */
function totalOf(counted: Float64Array, ofReads: Float64Array, rate: number, reads: number): number {
  let [sum, readsSum, products, squares] = [0, 0, 0, 0]
  for (let k = 0; k < counted.length; k++) {
    sum += counted[k]!
    readsSum += ofReads[k]!
    products += counted[k]! * ofReads[k]!
    squares += ofReads[k]! ** 2
  }
  const slope = squares === 0 ? 0 : products / squares
  return Math.max(0, sum / rate + slope * (reads - readsSum / rate))
}

/** By use: its object, numbered in the order of their first uses. */
function numbersOf({ files, objects }: UseSample): Uint32Array {
  const known = new Map<number, number>()
  return files.map((file, use) => {
    const id = file * 2 ** 32 + objects[use]!
    const number = known.get(id) ?? known.size
    known.set(id, number)
    return number
  })
}

/** The objects that a simulated cache holds. */
interface Held {
  /** The object, used now; one that is not here comes, without a block. */
  use(id: number, now: number): HeldObject | Promise<HeldObject>
  grow(object: HeldObject, bytes: number): void | Promise<void>
}

function newHeld({ policy, lowShare }: SimulatedCache, capacityBytes: number, rate: number): Held {
  if (policy === 'exact-lru') return new ExactLru(capacityBytes)
  return new HeldByPolicy(policyNamed(policy, rate), capacityBytes, lowShare)
}

function policyNamed(name: EvictionPolicyName, rate: number): EvictionPolicy<HeldObject> {
  if (name === 'lru') return new LruPolicy()
  // All that is held here was read, so that hit sets that reach back far enough leave it to recency.
  return name === 'temperature' ? new TemperaturePolicy(() => true) : new AdaptivePolicy({ sampleRate: rate })
}

class ExactLru implements Held {
  readonly #capacityBytes: number
  readonly #order = new LruList()
  readonly #held = new Map<number, HeldObject>()
  #bytes = 0

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes
  }

  use(id: number): HeldObject {
    const known = this.#held.get(id)
    if (known) {
      this.#order.use(id)
      return known
    }
    const object = newObject(this, id, 0)
    this.#held.set(id, object)
    this.#order.add(id)
    return object
  }

  grow(object: HeldObject, bytes: number): void {
    object.bytes += bytes
    this.#bytes += bytes
    while (this.#bytes > this.#capacityBytes) {
      const id = this.#order.takeNext()!
      this.#bytes -= this.#held.get(id)!.bytes
      this.#held.delete(id)
    }
  }
}

class HeldByPolicy implements Held {
  readonly #policy: EvictionPolicy<HeldObject>
  readonly #capacityBytes: number
  readonly #lowBytes: number
  readonly #held = new Map<number, HeldObject>()
  #bytes = 0

  constructor(policy: EvictionPolicy<HeldObject>, capacityBytes: number, lowShare: number) {
    this.#policy = policy
    this.#capacityBytes = capacityBytes
    this.#lowBytes = capacityBytes * lowShare
  }

  use(id: number, now: number): HeldObject {
    const known = this.#held.get(id)
    if (known) {
      known.lastUse = now
      return known
    }
    const object = newObject(this, id, now)
    this.#held.set(id, object)
    return object
  }

  async grow(object: HeldObject, bytes: number): Promise<void> {
    object.bytes += bytes
    this.#bytes += bytes
    if (this.#bytes <= this.#capacityBytes) return
    const chosen = await this.#policy.choose(() => this.#held.values(), this.#bytes - this.#lowBytes)
    for (const gone of chosen) {
      this.#held.delete(gone.object)
      this.#bytes -= gone.bytes
    }
  }
}

function newObject(stored: object, object: number, lastUse: number): HeldObject {
  return { stored, object, lastUse, bytes: 0, low: 0, high: 0 }
}

/** Bits that are set. Source: Warren, Hacker's Delight, figure 5-2. */
function onesOf(mask: number): number {
  let ones = mask - ((mask >>> 1) & 0x55555555)
  ones = (ones & 0x33333333) + ((ones >>> 2) & 0x33333333)
  return Math.imul((ones + (ones >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** Runs of set bits: the bits that are set and have none below them. */
function runsOf(low: number, high: number): number {
  return onesOf((low & ~(low << 1)) >>> 0) + onesOf((high & ~((high << 1) | (low >>> 31))) >>> 0)
}
