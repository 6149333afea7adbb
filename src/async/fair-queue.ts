/**
 * Fair queue: waiters of one owner first come, first served; owners by round robin. A thousand waiters of one owner
 * delay another owner no more than one does.
 */

/** Owner of what has none: they share one place in the round. */
export const noOwner = 0

const sparesMax = 64

export class FairQueue<T> {
  /** The owner whose turn is next comes first. */
  // INVARIANT: no set is empty
  readonly #byOwner = new Map<number, Set<T>>()
  /** Sets that are empty again, for the next owners: most wait for one thing at a time. */
  readonly #spares: Set<T>[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The one to be taken next. */
  get next(): T | undefined {
    const owned = this.#byOwner.values().next().value
    return owned?.values().next().value
  }

  /** @param item not in here yet */
  add(owner: number, item: T): void {
    let owned = this.#byOwner.get(owner)
    if (!owned) {
      owned = this.#spares.pop() ?? new Set()
      this.#byOwner.set(owner, owned)
    }
    owned.add(item)
    this.#size++
  }

  /** Idempotent. */
  leave(owner: number, item: T): void {
    const owned = this.#byOwner.get(owner)
    if (!owned?.delete(item)) return
    this.#size--
    if (owned.size > 0) return
    this.#byOwner.delete(owner)
    this.#spare(owned)
  }

  /** Take the next one; its owner goes to the end of the round. */
  take(): T | undefined {
    for (const [owner, owned] of this.#byOwner) {
      const item = owned.values().next().value!
      this.#byOwner.delete(owner)
      owned.delete(item)
      this.#size--
      if (owned.size > 0) this.#byOwner.set(owner, owned)
      else this.#spare(owned)
      return item
    }
    return undefined
  }

  #spare(empty: Set<T>): void {
    if (this.#spares.length < sparesMax) this.#spares.push(empty)
  }
}
