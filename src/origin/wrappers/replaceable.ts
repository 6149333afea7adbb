/**
 * An Origin that can be exchanged for another one of the same URL under those who use it: that is how other limits, deadlines
 * and credentials come into effect without a remount.
 *
 * Calls that are under way end with the origin that they began with, which is closed after the last of them.
 */

import { callSafely, onSettled } from '../../async/on-settled.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import type { Digest } from '../contract/digest.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'

interface Used {
  readonly origin: Origin
  calls: number
}

export class ReplaceableOrigin implements Origin {
  readonly url: string
  #current: Used
  /** Those that end their last calls. */
  readonly #leaving = new Set<Used>()

  constructor(origin: Origin) {
    this.url = origin.url
    this.#current = { origin, calls: 0 }
  }

  /** Origins that are open. */
  get count(): number {
    return 1 + this.#leaving.size
  }

  /** Use `next` from now on. */
  replace(next: Origin): void {
    if (next.url !== this.url) throw new Error(`${next.url} is not ${this.url}`)
    const before = this.#current
    this.#current = { origin: next, calls: 0 }
    this.#leaving.add(before)
    this.#closeUnused(before)
  }

  list(options: ReadOptions): Promise<readonly string[] | null> {
    return this.#use(origin => origin.list(options))
  }

  lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    return this.#use(origin => origin.lookup(key, options))
  }

  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    return this.#use(origin => origin.read(image, offset, target, options))
  }

  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.#use(origin => origin.extentAt(image, offset, options))
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.#use(origin => origin.digest(image, options))
  }

  async close(): Promise<void> {
    await Promise.all([this.#current, ...this.#leaving].map(({ origin }) => origin.close()))
  }

  #use<T>(call: (origin: Origin) => Promise<T>): Promise<T> {
    const used = this.#current
    used.calls++
    const end = () => {
      used.calls--
      this.#closeUnused(used)
    }
    return onSettled(
      callSafely(() => call(used.origin)),
      end,
    )
  }

  #closeUnused(used: Used): void {
    if (used.calls > 0 || !this.#leaving.delete(used)) return
    // Nobody waits for it, and nobody could do anything about its error.
    void used.origin.close().catch(() => {})
  }
}
