/**
 * Mutual exclusion by key, first come first served: the lock of an object.
 *
 * A key costs memory only while somebody holds it or waits for it. Whoever needs several keys takes them in ascending
 * order (`runAll` does), so that no two callers can wait for each other.
 */

import { begun } from './settled.ts'

export class KeyedMutex {
  /** The end of the last holder in line, by key. */
  readonly #tails = new Map<string, Promise<void>>()

  /** Run `work` while holding `key`. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const result = before ? before.then(work) : begun(work)
    const end = () => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    const tail = result.then(end, end)
    this.#tails.set(key, tail)
    return result
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
