/**
 * Sequential images as an Origin: reads of any range, also of images that the Origin inside sends from the front alone.
 *
 * It belongs outside of all other wrappers. A read that waits for its place is no request: it takes no slot, no retry
 * and no deadline but its reader's own, and says nothing about the origin's health. A pass is one request.
 */
import PQueue from 'p-queue'
import { abortedBy } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import { NoRangesError } from '../contract/no-ranges-error.ts'
import type { FoundImage, Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin, readWholeOf } from '../wrappers/forwarding-origin.ts'
import { passesMax, sequentialImagesMax } from './limits.ts'
import { type Landing, SequentialImage } from './sequential-image.ts'

/** Begins to land a pass in the cache; null: nothing of the image can be kept. Never rejects. */
export type BeginLanding = (image: Image) => Promise<Landing | null>

export class SequentialOrigin extends ForwardingOrigin {
  /** Those that are known to be sequential. */
  readonly #known = new LruMap<string, true>(sequentialImagesMax)
  /** Those that are being read. */
  readonly #images = new Map<string, SequentialImage>()
  readonly #passes = new PQueue({ concurrency: passesMax })
  readonly #idleMs: number | undefined
  #beginLanding: BeginLanding = async () => null

  /** @param idleMs other than {@link passIdleMs} */
  constructor(inner: Origin, idleMs?: number) {
    super(inner)
    this.#idleMs = idleMs
  }

  /** Passes that run from now on land there. */
  landWith(begin: BeginLanding): void {
    this.#beginLanding = begin
  }

  isSequential(image: Image): boolean {
    return this.#known.has(image.id)
  }

  /** The place that a pass over the image has come to; null: none is under way. */
  positionOf(imageId: string): number | null {
    return this.#images.get(imageId)?.position ?? null
  }

  override async lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    const { isSequential, ...facts } = await super.lookup(key, options)
    if (isSequential) this.#known.set(identify(facts).id, true)
    return facts
  }

  override read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    if (this.#known.use(image.id)) return this.#wait(image, offset, target, options)
    return super.read(image, offset, target, options).catch(async error => {
      if (!(error instanceof NoRangesError)) throw error
      const found = error.isSure ? null : await this.lookup(image.key, options).catch(() => null)
      if (!error.isSure && !this.#known.has(image.id)) {
        // Without an answer to the lookup, the first error stands.
        if (found === null) throw error
        // The answer was a mistake, which need not come again.
        return await super.read(image, offset, target, options)
      }
      this.#known.set(image.id, true)
      return await this.#wait(image, offset, target, options)
    })
  }

  override async close(): Promise<void> {
    for (const image of this.#images.values()) image.close()
    await super.close()
    await this.#passes.onIdle()
  }

  #wait(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    if (target.length === 0) return Promise.resolve()
    const known = this.#images.get(image.id) ?? this.#begin(image)
    return known.read(offset, target, signal)
  }

  #begin(image: Image): SequentialImage {
    const begun = new SequentialImage(image, {
      readWhole: (take, signal) => readWholeOf(this.inner, image, take, { signal }),
      beginLanding: () => this.#beginLanding(image),
      inTurn: pass => this.#passes.add(pass),
      onIdle: () => this.#images.delete(image.id),
      ...(this.#idleMs === undefined ? {} : { idleMs: this.#idleMs }),
    })
    this.#images.set(image.id, begun)
    return begun
  }
}
