/**
 * Size limit: an Origin that refuses images over the largest supported size, by name; all others are as they were.
 *
 * It belongs below the meter, which counts refusals and keeps the reason for status. A listing shows such a name all
 * the same: its size is unknown before its lookup.
 */
import { CacheError } from '../../base/errors.ts'
import type { FoundImage, Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin } from './forwarding-origin.ts'
import { imageBytesMax } from './limits.ts'

export class SizeLimitOrigin extends ForwardingOrigin {
  readonly #bytesMax: number

  /** @param bytesMax of one image */
  constructor(inner: Origin, bytesMax: number = imageBytesMax) {
    super(inner)
    this.#bytesMax = bytesMax
  }

  /** @throws CacheError image-too-large, and what the origin throws */
  override async lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    const facts = await this.inner.lookup(key, options)
    if (facts.sizeBytes <= this.#bytesMax) return facts
    const what = `${this.url}: ${key} has ${facts.sizeBytes} bytes, and no image may have more than ${this.#bytesMax}`
    throw new CacheError('image-too-large', `${what}: split it, or correct the length that the origin gives`)
  }
}
