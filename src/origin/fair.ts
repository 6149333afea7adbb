/**
 * An Origin in which no image takes all turns: reads of one that hang leave turns to the others, and names have turns of their own.
 *
 * Each image has a limit of its own in front of the one that all share. It exists while somebody reads the image.
 */
import type { Image, ImageFacts } from '../image.ts'
import { ending } from '../settled.ts'
import type { Digest } from './digest.ts'
import { LimitOrigin } from './limit.ts'
import type { Origin, OriginExtent, ReadOptions } from './origin.ts'

export class FairOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #names: Origin
  readonly #readsMax: number
  readonly #limits = new Map<string, LimitOrigin>()

  /**
   * @param inner has the limit that all share
   * @param readsMax reads of one image at once
   * @param names the same origin with another limit, for all but reads
   */
  constructor(inner: Origin, readsMax: number, names: Origin = inner) {
    this.url = inner.url
    this.#inner = inner
    this.#names = names
    this.#readsMax = readsMax
  }

  /** Images that are being read. */
  get images(): number {
    return this.#limits.size
  }

  list(options: ReadOptions): Promise<readonly string[] | null> {
    return this.#names.list(options)
  }

  lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    return this.#names.lookup(key, options)
  }

  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const known = this.#limits.get(image.id)
    const limit = known ?? new LimitOrigin(this.#inner, this.#readsMax)
    if (!known) this.#limits.set(image.id, limit)
    return ending(limit.read(image, offset, target, options), () => {
      if (limit.isIdle) this.#limits.delete(image.id)
    })
  }

  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.#names.extentAt(image, offset, options)
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.#names.digest(image, options)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}
