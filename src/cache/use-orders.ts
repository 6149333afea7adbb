/**
 * Orders in which objects would go, kept from what is seen of their use: by recency, and by S3-FIFO. Objects are numbers here; what
 * they stand for is the policy's business.
 */

/** Who is here, and who would go next. */
export interface UseOrder {
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

export class RecencyOrder implements UseOrder {
  /** Least recently used first. */
  readonly #ids = new Line()

  get size(): number {
    return this.#ids.size
  }

  has(id: number): boolean {
    return this.#ids.has(id)
  }

  add(id: number): void {
    this.#ids.push(id)
  }

  use(id: number): void {
    this.#ids.remove(id)
    this.#ids.push(id)
  }

  remove(id: number): void {
    this.#ids.remove(id)
  }

  takeNext(): number | null {
    return this.#ids.shift()
  }
}

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
export class FifoOrder implements UseOrder {
  /** How often each was used since it came or was last considered; INVARIANT: its keys are those of `#new` and `#proven`. */
  readonly #uses = new Map<number, number>()
  readonly #new = new Line()
  readonly #proven = new Line()
  readonly #gone = new Line()

  get size(): number {
    return this.#uses.size
  }

  has(id: number): boolean {
    return this.#uses.has(id)
  }

  ids(): IterableIterator<number> {
    return this.#uses.keys()
  }

  add(id: number): void {
    this.#uses.set(id, 0)
    if (this.#gone.remove(id)) this.#proven.push(id)
    else this.#new.push(id)
  }

  use(id: number): void {
    const uses = this.#uses.get(id)
    if (uses !== undefined) this.#uses.set(id, Math.min(usesMax, uses + 1))
  }

  remove(id: number): void {
    this.#uses.delete(id)
    this.#new.remove(id)
    this.#proven.remove(id)
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
    const isNew = this.#new.size > 0 && this.#new.size + free >= newShare * (this.size + free)
    return isNew || this.#proven.size === 0 ? this.#takeNew() : this.#takeProven()
  }

  #takeNew(): number | null {
    const id = this.#new.shift()!
    if (this.#uses.get(id)! > 0) {
      this.#uses.set(id, 0)
      this.#proven.push(id)
      return null
    }
    this.#uses.delete(id)
    this.#gone.push(id)
    if (this.#gone.size > goneShare * this.size) this.#gone.shift()
    return id
  }

  #takeProven(): number | null {
    const id = this.#proven.shift()!
    const uses = this.#uses.get(id)!
    if (uses > 0) {
      this.#uses.set(id, uses - 1)
      this.#proven.push(id)
      return null
    }
    this.#uses.delete(id)
    return id
  }
}

interface Link {
  readonly id: number
  before: Link | null
  after: Link | null
}

/**
 * Ids in the order in which they came, each at most once; any may leave. A `Set` has that order too, but its first member is
 * found by walking over all that have left since it was last packed: with a hundred thousand that was most of an eviction.
 */
class Line {
  readonly #links = new Map<number, Link>()
  #first: Link | null = null
  #last: Link | null = null

  get size(): number {
    return this.#links.size
  }

  has(id: number): boolean {
    return this.#links.has(id)
  }

  /** At the end, who is not in it. */
  push(id: number): void {
    const link: Link = { id, before: this.#last, after: null }
    this.#links.set(id, link)
    if (this.#last) this.#last.after = link
    else this.#first = link
    this.#last = link
  }

  /** @returns whether it was there */
  remove(id: number): boolean {
    const link = this.#links.get(id)
    if (!link) return false
    this.#links.delete(id)
    if (link.before) link.before.after = link.after
    else this.#first = link.after
    if (link.after) link.after.before = link.before
    else this.#last = link.before
    return true
  }

  /** Take the first; null of none. */
  shift(): number | null {
    const first = this.#first
    if (first) this.remove(first.id)
    return first?.id ?? null
  }
}
