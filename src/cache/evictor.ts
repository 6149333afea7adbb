/**
 * Eviction: starts over the high watermark, stops under the low one, one pass at a time. Two passes at once would each
 * see the same excess and evict twice what is needed.
 *
 * Two things can be over: the bytes of the cache directory, and the records of the index, which scattered or all-zero
 * blocks fill without taking much else.
 */
import { indexHighShare, indexLowShare } from '../limits.ts'
import type { Logger } from '../logger.ts'
import type { EvictionCandidate } from '../store/eviction.ts'
import type { Store } from '../store/store.ts'
import { type EvictionPolicy, LeastRecentlyUsed, type ObjectUse } from './eviction-policy.ts'

export interface EvictionCounters {
  readonly objects: number
  readonly bytes: number
}

type Candidate = EvictionCandidate & ObjectUse

/** What a pass has to do: free `amount` in units of which each object frees some. */
interface Excess {
  readonly amount: number
  readonly unit: 'bytes' | 'records'
}

export class Evictor {
  readonly #store: Store
  readonly #policy: EvictionPolicy<Candidate>
  readonly #logger: Logger
  #running: Promise<void> | undefined
  #stopped = false
  #objects = 0
  #bytes = 0

  constructor(store: Store, logger: Logger, policy: EvictionPolicy<Candidate> = new LeastRecentlyUsed()) {
    this.#store = store
    this.#policy = policy
    this.#logger = logger
  }

  get counters(): EvictionCounters {
    return { objects: this.#objects, bytes: this.#bytes }
  }

  /** Start a pass if a watermark calls for one and none is running. Resolves when nothing is over, or nothing helps; never rejects. */
  check(): Promise<void> {
    if (!this.#running && !this.#stopped && this.#excess()) {
      this.#running = this.#pass()
        .catch(error =>
          this.#logger.error({ err: error }, 'an eviction failed; it is tried again when more is promoted'),
        )
        .finally(() => {
          this.#running = undefined
        })
    }
    return this.#running ?? Promise.resolve()
  }

  /** No pass starts any more; resolves when the one that runs has ended. */
  async close(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #pass(): Promise<void> {
    // What a hit keeps from eviction is chosen again, colder ones first; a pass that frees nothing ends.
    for (let excess = this.#excess(); excess && !this.#stopped; excess = this.#excess()) {
      const { amount, unit } = excess
      const chosen = this.#policy.choose(() => this.#candidates(unit), amount)
      const { objects, bytes } = await this.#store.evict(chosen)
      this.#objects += objects
      this.#bytes += bytes
      this.#store.measure()
      if (objects === 0) return
    }
  }

  #excess(): Excess | null {
    const { capacity, indexShare } = this.#store
    if (capacity.excessBytes > 0) return { amount: capacity.excessBytes, unit: 'bytes' }
    if (indexShare <= indexHighShare) return null
    let records = 0
    for (const stored of this.#store.images()) for (const _ of stored.heldObjects()) records++
    return { amount: Math.ceil(records * (1 - indexLowShare / indexShare)), unit: 'records' }
  }

  *#candidates(unit: Excess['unit']): Generator<Candidate> {
    for (const stored of this.#store.images()) {
      for (const object of stored.heldObjects()) {
        const bytes = unit === 'bytes' ? stored.allocatedBytes(object) : 1
        if (bytes > 0) yield { stored, object, lastUse: stored.residency.lastUse(object), bytes }
      }
    }
  }
}
