/**
 * Mutual exclusion by key, first come first served: the lock of an object.
 *
 * A key costs memory only while it is held or waited for. A caller that needs several keys stands in line for all of
 * them from the same moment on, so that no two callers can wait for each other.
 */

import { callSafely, onSettled } from './on-settled.ts'

export class KeyedMutex {
  /** The last holder in line, by key. */
  readonly #tails = new Map<string, Holder>()

  /** Run `work` while holding `key`. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.runAll([key], work)
  }

  /** Run `work` while holding all of `keys`. */
  runAll<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const holder = new Holder()
    const before: Promise<void>[] = []
    for (const key of keys) {
      const last = this.#tails.get(key)
      if (last && last !== holder) before.push(last.ended)
      this.#tails.set(key, holder)
    }
    return onSettled(before.length > 0 ? Promise.all(before).then(work) : callSafely(work), () => {
      for (const key of keys) if (this.#tails.get(key) === holder) this.#tails.delete(key)
      holder.end()
    })
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

  /** For those next in line; most have none. */
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
