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
  /** Least recently used first: a set keeps the order in which its members came. */
  readonly #ids = new Set<number>()

  get size(): number {
    return this.#ids.size
  }

  has(id: number): boolean {
    return this.#ids.has(id)
  }

  add(id: number): void {
    this.#ids.add(id)
  }

  use(id: number): void {
    this.#ids.delete(id)
    this.#ids.add(id)
  }

  remove(id: number): void {
    this.#ids.delete(id)
  }

  takeNext(): number | null {
    const { done, value } = this.#ids.values().next()
    if (done) return null
    this.#ids.delete(value)
    return value
  }
}

const usesMax = 3
/** Share of the new ones among all, above which they go first. */
const newShare = 0.1
/** How many that went are remembered, as a share of those that are here. */
const goneShare = 0.9

interface Entry {
  uses: number
  isProven: boolean
}

/**
 * S3-FIFO: what is new waits in a short queue and goes first unless it was used again; what was, and what comes back soon after it
 * went, is proven, and stays for another round for each use. One pass over much that is never used again costs a tenth.
 *
 * Uses are seen from time to time, not one by one, so one look that found a use is enough to be proven; the paper counts each
 * use and wants two.
 * Source: Yang and others, "FIFO queues are all you need for cache eviction", SOSP 23.
 */
export class FifoOrder implements UseOrder {
  readonly #entries = new Map<number, Entry>()
  /** Oldest first, with some that have gone: an id counts where its entry is the one that was put there. */
  readonly #new = new Fifo<[number, Entry]>()
  readonly #proven = new Fifo<[number, Entry]>()
  #newCount = 0
  readonly #gone = new Set<number>()

  get size(): number {
    return this.#entries.size
  }

  has(id: number): boolean {
    return this.#entries.has(id)
  }

  ids(): IterableIterator<number> {
    return this.#entries.keys()
  }

  add(id: number): void {
    const isProven = this.#gone.delete(id)
    const entry = { uses: 0, isProven }
    this.#entries.set(id, entry)
    if (isProven) this.#proven.push([id, entry])
    else this.#new.push([id, entry])
    if (!isProven) this.#newCount++
  }

  use(id: number): void {
    const entry = this.#entries.get(id)
    if (entry) entry.uses = Math.min(usesMax, entry.uses + 1)
  }

  remove(id: number): void {
    const entry = this.#entries.get(id)
    if (entry && !entry.isProven) this.#newCount--
    this.#entries.delete(id)
  }

  takeNext(): number | null {
    while (this.#entries.size > 0) {
      const fromNew =
        this.#newCount >= Math.max(1, newShare * this.#entries.size) || this.#newCount === this.#entries.size
      const taken = fromNew ? this.#takeNew() : this.#takeProven()
      if (taken !== null) return taken
    }
    return null
  }

  #takeNew(): number | null {
    const [id, entry] = this.#new.shift()!
    if (this.#entries.get(id) !== entry) return null
    this.#newCount--
    if (entry.uses > 0) {
      entry.uses = 0
      entry.isProven = true
      this.#proven.push([id, entry])
      return null
    }
    this.#entries.delete(id)
    this.#gone.add(id)
    const [oldest] = this.#gone
    if (this.#gone.size > goneShare * this.#entries.size) this.#gone.delete(oldest!)
    return id
  }

  #takeProven(): number | null {
    const [id, entry] = this.#proven.shift()!
    if (this.#entries.get(id) !== entry) return null
    if (entry.uses > 0) {
      entry.uses--
      this.#proven.push([id, entry])
      return null
    }
    this.#entries.delete(id)
    return id
  }
}

/** An array that is taken from at its beginning. */
class Fifo<T> {
  #items: T[] = []
  #first = 0

  push(item: T): void {
    this.#items.push(item)
  }

  shift(): T | undefined {
    const item = this.#items[this.#first++]
    // Half of it has gone: moving the rest costs less than what brought us here.
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }
}
