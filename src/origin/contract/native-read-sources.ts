/**
 * Sources of native origin reads: the readers of images that session threads may use by themselves, by version. A
 * reader answers nothing where it cannot, and the next read that comes to TypeScript has the origin publish another.
 *
 * The cache follows an image for as long as it is open, and hears each change: no read has to ask.
 */

import type { Image } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { OriginGrant, OriginReader } from '../../native/origin-reader.ts'

/** The image of a follower. */
export type FollowedImage = Pick<Image, 'id' | 'sizeBytes'>

/** Bytes [offset, offset + length) of an image. */
export interface NativeRange {
  readonly offset: number
  readonly length: number
}

/** Says for members of a group which parts of images session threads may read at the origin by themselves. */
export interface ReaderPermits {
  /** The same reader, for what is permitted now and later; null: nothing is. */
  guard(image: FollowedImage, reader: OriginReader): OriginReader | null
  /** Nobody follows the image any more. */
  release(imageId: string): void
  /** Bytes were read within a permit. */
  answered(image: Image, range: NativeRange, ms: number): void
}

/** Takes the reader of an image; null: there is none now. */
export type UseReader = (reader: OriginReader | null) => void

interface Published {
  readonly reader: OriginReader
  /** The open file, image or connection behind it. */
  readonly owner: object
  /** The outcome of {@link ReaderTable.guard}; undefined: not asked yet. */
  guarded: OriginReader | null | undefined
}

interface Follower {
  readonly image: FollowedImage
  readonly use: UseReader
  /** The one of its origin that it has, whole or as far as is permitted. */
  reader: OriginReader | null
  /** Was it given one? */
  hasReader: boolean
}

/** Readers that one opening of an origin publishes. They are in use while it is the table of the sources. */
export class ReaderTable {
  /** Used when they are set. */
  readonly #byImage: LruMap<string, Published>
  /** Limits all of them together. */
  readonly grant: OriginGrant
  /** Hears of each change. */
  onChange: (imageId: string) => void = () => {}
  /** Hears of each read that was answered. */
  onAnswered: (image: Image, bytes: number, ms: number) => void = () => {}
  /** Hears of requests that were sent, and whose answers could not be used. */
  onFailed: (count: number) => void = () => {}
  /** Puts something around the reader of an image before it is used; null: session threads read nothing of it now. */
  guard: (imageId: string, reader: OriginReader) => OriginReader | null = (_, reader) => reader

  /** May session threads read this image at its origin by themselves? Asked at each change. */
  mayRead: (imageId: string) => boolean = () => true

  /** @param max images that have one */
  constructor(max: number, grant: OriginGrant) {
    this.grant = grant
    this.#byImage = new LruMap(max, { onLeave: (_, imageId) => this.onChange(imageId) })
  }

  get(imageId: string): OriginReader | null {
    const published = this.#byImage.get(imageId)
    if (!published || !this.mayRead(imageId)) return null
    if (published.guarded === undefined) published.guarded = this.guard(imageId, published.reader)
    return published.guarded
  }

  /** {@link guard} says something else of an image. */
  changed(imageId: string): void {
    const published = this.#byImage.get(imageId)
    if (!published) return
    published.guarded = undefined
    this.onChange(imageId)
  }

  set(imageId: string, reader: OriginReader, owner: object = reader): void {
    this.#byImage.set(imageId, { reader: this.grant.reader(reader), owner, guarded: undefined })
    this.onChange(imageId)
  }

  /**
   * An image was read right by way of `owner`: has `make` make the reader of it, unless the image has the one of this
   * owner already. Null is no reader.
   */
  offer(imageId: string, owner: object, make: () => OriginReader | null): void {
    if (this.#byImage.get(imageId)?.owner === owner) return
    const reader = make()
    if (reader) this.set(imageId, reader, owner)
  }

  delete(imageId: string): void {
    if (this.#byImage.delete(imageId)) this.onChange(imageId)
  }
}

export class NativeReadSources {
  #table: ReaderTable | null = null
  readonly #followers = new Map<string, Follower>()
  #isAway = false
  /** Null: no members of a group take part in reads. */
  #permits: ReaderPermits | null = null

  /** The origin has been opened: readers of an earlier time are not used any more. */
  replace(table: ReaderTable): void {
    if (this.#table) this.#table.onChange = () => {}
    this.#table = table
    table.onChange = imageId => this.#tell(imageId)
    this.#tellAll()
  }

  /** While the origin is away nothing is read natively: reads wait for it in TypeScript. */
  setAway(isAway: boolean): void {
    this.#isAway = isAway
    this.#tellAll()
  }

  /** While members of a group take part in reads session threads have the permitted parts alone; null: everything. */
  share(permits: ReaderPermits | null): void {
    if (permits === this.#permits) return
    const before = this.#permits
    this.#permits = permits
    for (const [imageId, follower] of this.#followers) {
      follower.reader = null
      this.#tell(imageId)
      before?.release(imageId)
    }
  }

  /**
   * Have `use` called with the reader of an image, now if there is one, and at each change, in place of an earlier one.
   */
  follow(image: FollowedImage, use: UseReader): void {
    this.#followers.set(image.id, { image, use, reader: null, hasReader: false })
    this.#tell(image.id)
  }

  /** End that: a follower that has a reader loses it. */
  unfollow(imageId: string): void {
    const follower = this.#followers.get(imageId)
    this.#followers.delete(imageId)
    if (follower?.hasReader) follower.use(null)
    if (follower) this.#permits?.release(imageId)
  }

  /** A read was answered. */
  answered(image: Image, range: NativeRange, ms: number): void {
    this.#table?.onAnswered(image, range.length, ms)
    this.#permits?.answered(image, range, ms)
  }

  #tellAll(): void {
    for (const imageId of this.#followers.keys()) this.#tell(imageId)
  }

  #tell(imageId: string): void {
    const follower = this.#followers.get(imageId)
    if (!follower) return
    const reader = this.#isAway ? null : (this.#table?.get(imageId) ?? null)
    if (follower.reader === reader) return
    follower.reader = reader
    const used = reader && this.#permits ? this.#permits.guard(follower.image, reader) : reader
    if (used === null && !follower.hasReader) return
    follower.hasReader = used !== null
    follower.use(used)
  }
}
