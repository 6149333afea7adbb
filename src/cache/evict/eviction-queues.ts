/**
 * Orders in which objects would go, kept from what is seen of their use: by recency, and by S3-FIFO. Objects are numbers here; what
 * they stand for is the policy's business.
 */
import { IndexedLists } from './indexed-lists.ts'

/** Who is here, and who would go next. */
export interface EvictionQueue {
  readonly size: number
  has(id: number): boolean
  /** It has come. */
  add(id: number): void
  /** It was used again. */
  use(id: number): void
  /** It has gone, for a reason of its own. */
  remove(id: number): void
  /** Take out who goes next; null of none. */
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

/** What is new, what has proven itself, and what went while it was new: three lines. */
const [fresh, proven, gone] = [0, 1, 2] as const

const usesMax = 3
/** Share of the new ones among all, above which they go first. */
const newShare = 0.1
/** How many that went are remembered, as a share of those that are here. */
const goneShare = 0.9

/**
 * S3-FIFO: what is new waits in a short queue and goes first unless it was used again; what was, and what comes back soon after it
 * went, is proven, and stays for another round for each use. One pass over much that is never used again costs a tenth.
 *
 * Uses are seen from time to time, not one by one, so one look that found a use is enough to be proven; the paper counts each
 * use and wants two.
 * Source: Yang and others, "FIFO queues are all you need for cache eviction", SOSP 23.
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
   * Look at who would go next: take it out, or let it stay for another round. There is one.
   * @param free places that were made before this one and that what is new will take: a cache that makes many places at once is to
   *   have a tenth of new ones when they are taken, not before
   * @returns who went; null if it stays
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
