/**
 * An Origin in which no image takes all turns: reads of one that hang leave turns to the others.
 *
 * Each image has a limit of its own in front of the one that all share. It exists while somebody reads the image.
 */
import type { Image, ImageFacts } from '../image.ts'
import type { Digest } from './digest.ts'
import { LimitOrigin } from './limit.ts'
import type { Listed, Origin, OriginExtent, ReadOptions } from './origin.ts'

export class FairOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #readsMax: number
  readonly #limits = new Map<string, LimitOrigin>()

  /**
   * @param inner has the limit that all share
   * @param readsMax reads of one image at once
   */
  constructor(inner: Origin, readsMax: number) {
    this.url = inner.url
    this.#inner = inner
    this.#readsMax = readsMax
  }

  /** Images that are being read. */
  get images(): number {
    return this.#limits.size
  }

  list(options: ReadOptions): Promise<readonly Listed[] | null> {
    return this.#inner.list(options)
  }

  lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    return this.#inner.lookup(key, options)
  }

  async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const limit = this.#limits.get(image.id) ?? new LimitOrigin(this.#inner, this.#readsMax)
    this.#limits.set(image.id, limit)
    try {
      await limit.read(image, offset, target, options)
    } finally {
      const { active, waiting } = limit.load
      if (active === 0 && waiting === 0) this.#limits.delete(image.id)
    }
  }

  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.#inner.extentAt(image, offset, options)
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.#inner.digest(image, options)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}
