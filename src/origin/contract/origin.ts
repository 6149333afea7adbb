/**
 * The Origin interface: a source of images.
 *
 * Every implementation, and every wrapper that is itself an Origin (retry, deadline, limit, breaker, hedge, meter),
 * passes test/contract/origin.ts. An origin decides which failures are worth retrying; no room above it does.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import type { TraceSpan } from '../../base/trace.ts'
import type { Digest } from './digest.ts'

export interface ReadOptions {
  readonly signal: CancelSignal
  /** The process that asks, by its id: where calls have to wait, those of one process wait behind each other alone. */
  readonly opener?: number | undefined
  /** Nothing depends on the answer: it is asked for once, and a failure says nothing about the origin. */
  readonly isOptional?: boolean | undefined
  /** The bytes of before were proven wrong: copies of other hosts are not asked again. */
  readonly isDisputed?: boolean | undefined
  /** The read is traced, and its steps are steps of this span. */
  readonly trace?: TraceSpan | undefined
  /** The bytes are proven when they have come: no place that gives them has to be trusted, or compared with another. */
  readonly isProven?: boolean | undefined
}

/**
 * Facts of an image that was looked up. A sequential image is one that its origin sends from the front alone: it has
 * no ranges of it. Facts may be those that another host of the group has heard, where the origin does not answer here.
 */
export type FoundImage = ImageFacts & {
  readonly isSequential?: true
  /** Id of the member by whose word they are; absent: the origin said so. */
  readonly toldBy?: string
}

/** Takes the next bytes of an image, which are its own until it resolves; then more come. */
export type TakeBytes = (bytes: Uint8Array) => Promise<void> | void

export interface Origin {
  /** The origin's identity in ids, logs and attributes: a URL without credentials. */
  readonly url: string
  /** Its keys may have slashes, which the mount shows as directories. Not when absent. */
  readonly isHierarchical?: boolean
  /**
   * The names of the images, in one request, each once, or null for an origin without listing (names are found by
   * lookup alone then). No promise that a lookup finds them. Names that could not be files (empty, `.`, `..`, with `/`
   * or NUL, over 255 bytes) are left out, and so may be those beyond the first listingNamesMax + 1. Of a hierarchical
   * origin these are keys: such names with slashes between them.
   * @throws CacheError origin-*, access-denied
   */
  list(options: ReadOptions): Promise<readonly string[] | null>
  /**
   * Ask about one image: its size and validator now.
   * @throws CacheError not-found, access-denied, origin-unsupported (no ranges, no validator), image-too-large,
   * origin-*
   */
  lookup(key: string, options: ReadOptions): Promise<FoundImage>
  /**
   * Fill `target` exactly with the bytes of this version at `offset`, or throw; after a throw, `target` holds garbage
   * and is not written to any more, so it can be used again. The range lies within the image.
   * @throws CacheError image-changed (another validator, or gone), origin-protocol (a wrong range, too few bytes; as a
   * NoRangesError for a sequential image), origin-*
   */
  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void>
  /**
   * Give all bytes of a sequential image to `take`, from the front on; once, without further tries. Origins whose
   * images all have ranges lack it.
   * @throws CacheError image-changed, image-corrupt, origin-*, and what `take` throws
   */
  readWhole?(image: Image, take: TakeBytes, options: ReadOptions): Promise<void>
  /**
   * The first hole and the first data at or after `offset`, for lseek; null where the origin cannot tell.
   * Bytes that are not known to be a hole are data.
   */
  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null>
  /**
   * The digest of the whole image that its publisher gives, or null where there is none.
   * @throws CacheError image-changed (the origin has another version, whose digest it would be), origin-*
   */
  digest(image: Image, options: ReadOptions): Promise<Digest | null>
  /** Its images are files of this host, which readers may read by themselves: see `openFile`. Not when absent. */
  readonly hasOwnFiles?: boolean
  /**
   * The origin's own file of this version, open for reading; the caller closes it. Null where there is none. Origins
   * without such files lack it.
   * @throws CacheError image-changed, access-denied, origin-*
   */
  openFile?(image: Image, options: ReadOptions): Promise<OwnFile | null>
  /**
   * The URL at which others can read the image by themselves, without credentials; null: there is none. Nothing is
   * asked for it. Origins without such URLs lack it.
   */
  publicUrlOf?(image: Image): string | null
  /**
   * The origin's own words about an image, by name, as it said them last; null: none. Nothing is asked for it. Origins
   * without such words lack it.
   */
  describe?(image: Image): Readonly<Record<string, string>> | null
  /** Idempotent. */
  close(): Promise<void>
}

/** An open file. */
export interface OwnFile {
  readonly fd: number
  close(): Promise<void>
}

/** A stretch of an image that is all data or all hole. */
export interface OriginExtent {
  readonly hole: boolean
  /** First byte after it. */
  readonly end: number
}

/** Counters of one origin, for status. */
export interface OriginCounters {
  /** Requests sent, retries included. */
  readonly requests: number
  /** Bytes of image data received. */
  readonly bytes: number
  /** Requests that failed. */
  readonly errors: number
  /** Requests that were given up: their reader left, or another request was quicker. */
  readonly cancelled: number
}
