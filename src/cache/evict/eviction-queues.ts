/**
 * Eviction queues: the order in which objects would go, by recency (LRU) and by S3-FIFO, kept from observed uses.
 * Objects are numbers here; the policy knows their meaning.
 */
import { IndexedLists } from './indexed-lists.ts'

/** The members of a queue, and the order of their going. */
export interface EvictionQueue {
  readonly size: number
  has(id: number): boolean
  /** It has come. */
  add(id: number): void
  /** It was used again. */
  use(id: number): void
  /** It has gone, for a reason of its own. */
  remove(id: number): void
  /** Take out the next one to go; null of none. */
  takeNext(): number | null
}

export class LruList implements EvictionQueue {
  /** One line, least recently used first. */
  readonly #lines = new IndexedLists(1)

  get size(): number {
    return this.#lines.sizeOf(0)
  }

  has(id: number): boolean {
    return this.#lines.listOf(id) === 0
  }

  add(id: number): void {
    this.#lines.push(0, id)
  }

  use(id: number): void {
    this.#lines.remove(id)
    this.#lines.push(0, id)
  }

  remove(id: number): void {
    this.#lines.remove(id)
  }

  takeNext(): number | null {
    return this.#lines.shift(0)
  }
}

/** New objects, proven ones, and ones that went while they were new: three lists. */
const [fresh, proven, gone] = [0, 1, 2] as const

const usesMax = 3
/** Share of the new ones among all, above which they go first. */
const newShare = 0.1
/** The number of remembered evictions, as a share of the objects that are here. */
const goneShare = 0.9

/**
 * S3-FIFO: new objects wait in a short queue and go first unless they were used again. Those that were, and those that
 * come back soon after they went, are proven, and stay for another round for each use. One pass over much that is never
 * used again costs a tenth.
 *
 * Uses are sampled, not seen one by one, so one look that found a use is enough to be proven; the paper counts each use
 * and wants two. Source: Yang and others, "FIFO queues are all you need for cache eviction", SOSP 23.
 */
export class S3FifoQueues implements EvictionQueue {
  /** The value of those that are here: how often each was used since it came or was last considered. */
  readonly #lines = new IndexedLists(3)

  get size(): number {
    return this.#lines.sizeOf(fresh) + this.#lines.sizeOf(proven)
  }

  has(id: number): boolean {
    const line = this.#lines.listOf(id)
    return line === fresh || line === proven
  }

  /** The one that was given last may be removed meanwhile. */
  *ids(): Generator<number> {
    yield* this.#lines.idsOf(fresh)
    yield* this.#lines.idsOf(proven)
  }

  add(id: number): void {
    const hasGone = this.#lines.remove(id) === gone
    this.#lines.push(hasGone ? proven : fresh, id)
  }

  use(id: number): void {
    if (this.has(id)) this.#lines.setValue(id, Math.min(usesMax, this.#lines.valueOf(id) + 1))
  }

  remove(id: number): void {
    if (this.has(id)) this.#lines.remove(id)
  }

  takeNext(): number | null {
    while (this.size > 0) {
      const taken = this.consider(0)
      if (taken !== null) return taken
    }
    return null
  }

  /**
   * Consider the next one to go: take it out, or let it stay for another round. There is one.
   * @param free places that were made before this one and that new objects will take: a cache that makes many places at
   * once is to have a tenth of new ones when they are taken, not before
   * @returns the object that went; null if it stays
   */
  consider(free: number): number | null {
    const news = this.#lines.sizeOf(fresh)
    const isNew = news > 0 && news + free >= newShare * (this.size + free)
    return this.#take(isNew || this.#lines.sizeOf(proven) === 0 ? fresh : proven)
  }

  #take(line: number): number | null {
    const lines = this.#lines
    const id = lines.firstOf(line)!
    const uses = lines.valueOf(id)
    lines.remove(id)
    if (uses > 0) {
      lines.push(proven, id)
      lines.setValue(id, line === fresh ? 0 : uses - 1)
      return null
    }
    if (line === fresh) {
      lines.push(gone, id)
      if (lines.sizeOf(gone) > goneShare * this.size) lines.shift(gone)
    }
    return id
  }
}
