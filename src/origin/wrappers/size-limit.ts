/**
 * An Origin that refuses images which are larger than anything here can count, by name; all others are as they were.
 *
 * It belongs below the meter, which counts what was refused and keeps the reason for status. A listing shows such a name all
 * the same: nobody knows its size before it is looked up.
 */
import { CacheError } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import type { Digest } from '../contract/digest.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import { imageBytesMax } from './limits.ts'

export class SizeLimitOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #bytesMax: number

  /** @param bytesMax of one image */
  constructor(inner: Origin, bytesMax: number = imageBytesMax) {
    this.url = inner.url
    this.#inner = inner
    this.#bytesMax = bytesMax
  }

  list(options: ReadOptions): Promise<readonly string[] | null> {
    return this.#inner.list(options)
  }

  /** @throws CacheError image-too-large, and what the origin throws */
  async lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    const facts = await this.#inner.lookup(key, options)
    if (facts.sizeBytes <= this.#bytesMax) return facts
    const what = `${this.url}: ${key} has ${facts.sizeBytes} bytes, and no image may have more than ${this.#bytesMax}`
    throw new CacheError('image-too-large', `${what}: split it, or correct the length that the origin gives`)
  }

  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    return this.#inner.read(image, offset, target, options)
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
