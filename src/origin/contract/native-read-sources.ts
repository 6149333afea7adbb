/**
 * Sources of native origin reads: the readers of open images that session threads may use by themselves, by version. A
 * reader does not keep its image open: one whose image has been closed answers nothing, and the next read that comes to
 * TypeScript opens the image again.
 *
 * The cache follows an image for as long as it is open, and hears each change: no read has to ask.
 */
import { LruMap } from '../../base/lru-map.ts'
import type { OriginReader } from '../../native/origin-reader.ts'

/** Takes the reader of an image; null: there is none now. */
export type UseReader = (reader: OriginReader | null) => void

interface Follower {
  readonly use: UseReader
  /** The one that it has. */
  reader: OriginReader | null
}

export class NativeReadSources {
  /** Used when they are opened. */
  readonly #byImage: LruMap<string, OriginReader>
  readonly #followers = new Map<string, Follower>()
  #isAway = false

  /** @param max as many as images stay open */
  constructor(max: number) {
    this.#byImage = new LruMap(max, { onLeave: (_, imageId) => this.#tell(imageId) })
  }

  /** An image has been opened. */
  set(imageId: string, reader: OriginReader): void {
    this.#byImage.set(imageId, reader)
    this.#tell(imageId)
  }

  /** While the origin is away nothing is read natively: reads wait for it in TypeScript. */
  setAway(isAway: boolean): void {
    this.#isAway = isAway
    for (const imageId of this.#followers.keys()) this.#tell(imageId)
  }

  /**
   * Have `use` called with the reader of an image, now if there is one, and at each change, in place of an earlier one.
   */
  follow(imageId: string, use: UseReader): void {
    this.#followers.set(imageId, { use, reader: null })
    this.#tell(imageId)
  }

  /** End that: a follower that has a reader loses it. */
  unfollow(imageId: string): void {
    const follower = this.#followers.get(imageId)
    this.#followers.delete(imageId)
    if (follower?.reader) follower.use(null)
  }

  #tell(imageId: string): void {
    const follower = this.#followers.get(imageId)
    const reader = this.#isAway ? null : (this.#byImage.get(imageId) ?? null)
    if (!follower || follower.reader === reader) return
    follower.reader = reader
    follower.use(reader)
  }
}
