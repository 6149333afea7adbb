/**
 * Mutual exclusion by key, first come first served: the lock of an object.
 *
 * A key costs memory only while it is held or waited for. A caller that needs several keys takes them in ascending
 * order (`runAll` does), so that no two callers can wait for each other.
 */

import { callSafely, onSettled } from './on-settled.ts'

export class KeyedMutex {
  /** The last holder in line, by key. */
  readonly #tails = new Map<string, Holder>()

  /** Run `work` while holding `key`. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const holder = new Holder()
    this.#tails.set(key, holder)
    return onSettled(before ? before.ended.then(work) : callSafely(work), () => {
      if (this.#tails.get(key) === holder) this.#tails.delete(key)
      holder.end()
    })
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

/** A holder of a key, or a waiter for it. */
class Holder {
  #ended: Promise<void> | null = null
  #resolve: (() => void) | null = null

  /** For the next one in line; most have none. */
  get ended(): Promise<void> {
    this.#ended ??= new Promise(resolve => {
      this.#resolve = resolve
    })
    return this.#ended
  }

  end(): void {
    this.#resolve?.()
  }
}
