/**
 * Eviction: starts over the high watermark, stops under the low one, one pass at a time. Two passes at once would each
 * see the same excess and evict twice what is needed.
 */
import { indexShareMax } from '../limits.ts'
import type { Logger } from '../logger.ts'
import type { EvictionCandidate, Store } from '../store/store.ts'
import type { StoredImage } from '../store/stored-image.ts'
import { type EvictionPolicy, LeastRecentlyUsed, type ObjectUse } from './eviction-policy.ts'

export interface EvictionCounters {
  readonly objects: number
  readonly bytes: number
}

type Candidate = EvictionCandidate & ObjectUse

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

  /** Start a pass if a watermark calls for one and none is running. Never rejects. */
  check(): void {
    if (this.#running || this.#stopped || this.#excessBytes() === 0) return
    this.#running = this.#pass()
      .catch(error => this.#logger.error({ err: error }, 'an eviction failed; it is tried again when more is promoted'))
      .finally(() => {
        this.#running = undefined
      })
  }

  /** No pass starts any more; resolves when the one that runs has ended. */
  async close(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #pass(): Promise<void> {
    // What a hit keeps from eviction is chosen again, colder ones first; a pass that frees nothing ends.
    for (let excess = this.#excessBytes(); excess > 0 && !this.#stopped; excess = this.#excessBytes()) {
      const chosen = this.#policy.choose(() => this.#candidates(), excess)
      const { objects, bytes } = await this.#store.evict(chosen, excess)
      this.#objects += objects
      this.#bytes += bytes
      this.#store.measure()
      if (objects === 0) return
    }
  }

  /** What to free: for the data, or for an index over its budget. */
  #excessBytes(): number {
    const { capacity, indexBytes } = this.#store
    const overIndex = indexBytes > capacity.capacityBytes * indexShareMax ? capacity.usableBytes - capacity.lowBytes : 0
    return Math.max(capacity.excessBytes, overIndex)
  }

  *#candidates(): Generator<Candidate> {
    for (const stored of this.#store.images()) yield* candidatesOf(stored)
  }
}

function* candidatesOf(stored: StoredImage): Generator<Candidate> {
  for (const object of stored.heldObjects()) {
    yield { stored, object, lastUse: stored.residency.lastUse(object), bytes: stored.allocatedBytes(object) }
  }
}
