/**
 * Fair share: an Origin in which no image takes all slots. Reads of one that hang leave slots to the others, and names
 * have slots of their own.
 *
 * Each image has a limit of its own in front of the one that all share. It exists while the image is being read.
 */

import { onSettled } from '../../async/on-settled.ts'
import type { Image } from '../../base/image.ts'
import type { Origin, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { ConcurrencyLimitOrigin } from './concurrency-limit.ts'
import { ForwardingOrigin, type OriginCall, type OriginOperation, readWholeOf } from './forwarding-origin.ts'

export class FairShareOrigin extends ForwardingOrigin {
  readonly #names: Origin
  readonly #readsMax: number
  readonly #limits = new Map<string, ConcurrencyLimitOrigin>()

  /**
   * @param inner has the limit that all share
   * @param readsMax reads of one image at once
   * @param names the same origin with another limit, for all but reads
   */
  constructor(inner: Origin, readsMax: number, names: Origin = inner) {
    super(inner)
    this.#names = names
    this.#readsMax = readsMax
  }

  /** Images that are being read. */
  get images(): number {
    return this.#limits.size
  }

  override read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const known = this.#limits.get(image.id)
    const limit = known ?? new ConcurrencyLimitOrigin(this.inner, this.#readsMax)
    if (!known) this.#limits.set(image.id, limit)
    return onSettled(limit.read(image, offset, target, options), () => {
      if (limit.isIdle) this.#limits.delete(image.id)
    })
  }

  /** It has one slot for as long as it takes. */
  override readWhole(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    return readWholeOf(this.inner, image, take, options)
  }

  protected override forward<T>(_: OriginOperation, call: OriginCall<T>, options: ReadOptions): Promise<T> {
    return call(this.#names, options)
  }
}
