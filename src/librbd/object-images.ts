/**
 * Images whose objects the view shows: held open in the cache, and bound to the session threads by the upper half of
 * their objects' node ids.
 *
 * One that an earlier process has shown is found again by that half alone. The one unused for longest leaves.
 */

import type { Image } from '../base/image.ts'
import { LruMap } from '../base/lru-map.ts'
import type { KnownImage } from '../fuse/filesystem/backend.ts'
import { FsError } from '../fuse/filesystem/fs-error.ts'
import type { Binder } from '../fuse/filesystem/open-images.ts'
import type { StoreFile } from '../native/addon.ts'
import { objectImagesMax } from './limits.ts'
import { imagePartOf } from './object-node.ts'

export interface ObjectImagesContext {
  /** Begin an open. @returns null where the store has no file for it */
  open(image: Image): Promise<StoreFile | null>
  /** End one. */
  release(image: Image): void
  /** The image that is known and of which this holds. */
  imageWhere(holds: (nodeId: bigint) => boolean): KnownImage | null
  readonly binder: Binder & {
    /** Answers LOOKUPs of the image's objects; null: not any more. */
    describe(part: number, known: KnownImage | null): void
  }
}

/** An image that is open for the view. */
export interface ObjectImage {
  readonly known: KnownImage
  readonly file: StoreFile | null
}

export class ObjectImages {
  readonly #parts: ObjectImagesContext
  readonly #open: LruMap<number, Promise<ObjectImage>>
  readonly #ready = new Map<number, KnownImage>()
  #isClosed = false

  constructor(parts: ObjectImagesContext, max = objectImagesMax) {
    this.#parts = parts
    this.#open = new LruMap(max, { onLeave: (opened, part) => this.#end(part, opened) })
  }

  get size(): number {
    return this.#open.size
  }

  /** The image of a part, open; without waiting: null when it is not open yet. */
  ready(part: number): KnownImage | null {
    return this.#ready.get(part) ?? null
  }

  /** The image of a part, as far as is known; it need not be open. */
  find(part: number): KnownImage | null {
    return this.ready(part) ?? this.#parts.imageWhere(nodeId => imagePartOf(nodeId) === part)
  }

  /** @throws FsError stale-node: there is none; whatever opening throws */
  async ensure(part: number): Promise<ObjectImage> {
    const opened = this.#open.use(part)
    if (opened) return opened
    const known = this.find(part)
    if (!known) throw new FsError('stale-node', `no image has objects with ${part.toString(16)}`)
    return this.#openNow(known)
  }

  /**
   * Have an image open.
   * @returns null where another image has the same part
   */
  async openAs(known: KnownImage): Promise<ObjectImage | null> {
    const part = imagePartOf(known.nodeId)
    const there = this.find(part)
    if (there && there.nodeId !== known.nodeId) return null
    const opened = this.#open.use(part)
    if (opened && (await opened).file !== null) return opened
    // The store had no file for it then.
    if (opened) this.close(part)
    return this.#openNow(known)
  }

  /**
   * Bind what is open to other data files, or to none.
   * @param bound called for each with the file that answers hits from now on
   */
  async rebind(
    fileOf: (image: Image) => Promise<StoreFile | null>,
    bound: (part: number, image: Image, file: StoreFile | null) => void,
  ): Promise<void> {
    const rebound = [...this.#open.keys()].map(async part => {
      const opened = this.#open.get(part)!
      const { known } = await opened
      const file = await fileOf(known.image)
      if (this.#open.get(part) !== opened) return
      if (file) this.#parts.binder.bind(BigInt(part), file)
      else this.#parts.binder.unbind(BigInt(part))
      bound(part, known.image, file)
    })
    await Promise.allSettled(rebound) // An open that failed has bound nothing.
  }

  /** Let one go; the kernel may still ask, which opens it again. */
  close(part: number): void {
    const opened = this.#open.get(part)
    if (!opened) return
    this.#open.delete(part)
    this.#end(part, opened)
  }

  /** Idempotent. */
  closeAll(): void {
    this.#isClosed = true
    for (const part of [...this.#ready.keys()]) this.close(part)
  }

  #openNow(known: KnownImage): Promise<ObjectImage> {
    const part = imagePartOf(known.nodeId)
    const opened = this.#begin(part, known)
    this.#open.set(part, opened)
    opened.catch(() => {
      if (this.#open.get(part) === opened) this.#open.delete(part)
    })
    return opened
  }

  async #begin(part: number, known: KnownImage): Promise<ObjectImage> {
    const { open, binder } = this.#parts
    const file = await open(known.image)
    if (this.#isClosed) {
      this.#parts.release(known.image)
      throw new FsError('expired', 'the object view is closed')
    }
    if (file) binder.bind(BigInt(part), file)
    binder.describe(part, known)
    this.#ready.set(part, known)
    return { known, file }
  }

  #end(part: number, opened: Promise<ObjectImage>): void {
    void opened.then(
      ({ known }) => {
        if (!this.#open.has(part)) {
          this.#ready.delete(part)
          this.#parts.binder.unbind(BigInt(part))
          this.#parts.binder.describe(part, null)
        }
        this.#parts.release(known.image)
      },
      () => {}, // It is not open.
    )
  }
}
