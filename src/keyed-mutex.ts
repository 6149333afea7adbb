/**
 * Mutual exclusion by key, first come first served: the lock of an object.
 *
 * A key costs memory only while somebody holds it or waits for it. Whoever needs several keys takes them in ascending
 * order (`runAll` does), so that no two callers can wait for each other.
 */

export class KeyedMutex {
  /** The end of the last holder in line, by key. */
  readonly #tails = new Map<string, Promise<void>>()

  /** Run `work` while holding `key`. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    let end!: () => void
    const tail = new Promise<void>(resolve => {
      end = resolve
    })
    this.#tails.set(key, tail)
    if (before) await before
    try {
      return await work()
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
      end()
    }
  }

  /** Run `work` while holding all of `keys`. */
  runAll<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const ordered = [...new Set(keys)].sort()
    const descend = (depth: number): Promise<T> => {
      const key = ordered[depth]
      return key === undefined ? work() : this.run(key, () => descend(depth + 1))
    }
    return descend(0)
  }

  /** Keys that are held now. */
  get size(): number {
    return this.#tails.size
  }
}
