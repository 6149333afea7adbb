/**
 * Interface of the filesystem to the rooms below. Declared here, where it is consumed; `daemon/` puts the cache behind
 * it.
 */

import { createHash } from 'node:crypto'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Image } from '../../base/image.ts'
import type { StoreFile } from '../../native/addon.ts'
import type { ForwardingBackend } from './forwarding.ts'
import type { PassthroughBackend } from './passthrough.ts'

export interface BackendOptions {
  readonly signal: CancelSignal
  /** The process that asks: processes wait in turns. */
  readonly opener?: number | undefined
  /**
   * Takes the release of a read's bytes, for a backend that lends them: it is called when they are not looked at any
   * more.
   */
  readonly lend?: (release: () => void) => void
  /** The time that a read has waited for the origin already. */
  readonly waitedMs?: number | undefined
}

/** A name in a directory, as a listing gives it. */
export interface NamedEntry {
  readonly name: string
  /** The image, where it is known without asking the origin. */
  readonly image: KnownImage | null
  /** A directory. Not when absent. */
  readonly isDirectory?: boolean
}

/** The entries of a directory: an array, or an object that makes its entries when they are read. */
export interface NamedEntries {
  readonly length: number
  /** The object that holds the names in memory, where several listings share it. */
  readonly names?: object
  /** Undefined from `length` on. */
  at(index: number): NamedEntry | undefined
}

/** An image with the node id that is its own for ever: recorded before the kernel is told. */
export interface KnownImage {
  readonly image: Image
  /** Below 2^62, above {@link reservedNodeIds}; see passthrough.ts for those from 2^62 on. */
  readonly nodeId: bigint
}

/** A directory of images: that of an origin, or one below it. */
export interface DirectoryPath {
  /** The origin's directory in the root; null where the root itself holds the images. */
  readonly directory: string | null
  /** The keys of its images begin so: empty, or path components that each end in a slash. */
  readonly prefix: string
}

/** Node ids up to this one are directories: the root is 1, and see {@link directoryNodeId}. */
export const reservedNodeIds = (1n << 33n) - 1n

/**
 * The node id of a directory in the root: 32 bits of its name's hash, so that it is the same whatever other directories
 * there are. Two names can share one: callers that name directories must check.
 */
export function directoryNodeId(name: string): bigint {
  return (1n << 32n) | BigInt(createHash('sha256').update(name).digest().readUInt32LE(0))
}

/** The bit of the node id of a directory below that of an origin; with bit 62 beside it, it is an image's. */
const nestedBit = 1n << 63n

/** Is it the node id of a directory below that of an origin? */
export function isNestedNode(nodeId: bigint): boolean {
  return nodeId >> 62n === 2n
}

/** The node id of a directory below that of an origin: 62 bits of its path's hash, the same for ever. */
export function nestedNodeId({ directory, prefix }: DirectoryPath): bigint {
  const path = `${directory ?? ''}/${prefix}`
  return nestedBit | (createHash('sha256').update(path).digest().readBigUInt64LE(0) >> 2n)
}

/** Cached state of one image, for `user.parentfs.*` attributes and status. */
export interface Residence {
  readonly residentBytes: number
  readonly complete: boolean
  /** The part that the cache takes in reads of the image: see cache/modes/cache-mode.ts. */
  readonly mode: string
}

export interface Backend {
  /** The directories of the root, or null when the root itself holds the images (one origin). */
  readonly directories: readonly string[] | null
  /** Decides which images the kernel may read by itself. */
  readonly passthrough: PassthroughBackend
  /** Decides which images the kernel may read from the origin's own files. */
  readonly forwarding: ForwardingBackend
  /**
   * The image of a key now; `directory` is that of its origin, null for the root's own.
   * @throws CacheError not-found, access-denied, origin-*, aborted
   */
  lookup(directory: string | null, key: string, options: BackendOptions): Promise<KnownImage>
  /** After a `not-found`: how long the key stays absent for sure, in milliseconds; 0 when it may be there at once. */
  absentMs(directory: string | null, key: string): number
  /**
   * The entries of a directory.
   * @param prefix as {@link DirectoryPath} has it
   * @throws CacheError as `lookup`
   */
  list(directory: string | null, prefix: string, options: BackendOptions): Promise<NamedEntries>
  /** May the directory of an origin hold directories? */
  isHierarchical(directory: string | null): boolean
  /** Is this the prefix of a directory, as far as is known without asking? */
  knowsDirectory(directory: string | null, prefix: string): boolean
  /** After a `not-found`: is it one now? @throws CacheError as `list` */
  hasDirectory(directory: string | null, prefix: string, options: BackendOptions): Promise<boolean>
  /** The directories below those of origins that are known without asking. */
  nestedDirectories(): Iterable<DirectoryPath>
  /** The image that this node id was given to, in this run or an earlier one; null when there is none. */
  imageOf(nodeId: bigint): KnownImage | null
  /**
   * Hold the image open; its data file may answer hits, null where it has none (an empty image, a store out of order).
   */
  open(image: Image): Promise<StoreFile | null>
  /** The data file of an open image that may answer hits now; null where there is none, or it is not asked. */
  fileOf(image: Image): Promise<StoreFile | null>
  /** End one `open`. */
  release(image: Image): void
  /**
   * Exactly the bytes [offset, offset + length), which lie within the image.
   * @throws CacheError origin-*, image-changed, aborted, overloaded
   */
  read(image: Image, offset: number, length: number, options: BackendOptions): Promise<Uint8Array>
  /** A session thread fetches what a read wants, which has to wait. */
  originReadBegun(image: Image, offset: number, length: number): void
  /** A session thread has answered a read with bytes of the origin, in `ms` milliseconds. */
  originReadDone(image: Image, length: number, ms: number): void
  /** These bytes of the read-ahead buffer, which lie within the image, are read; their reader needs nothing of us. */
  bufferTouched(image: Image, offset: number, length: number): void
  /** A stretch of data or hole at `offset` (within the image) and its first byte after. What is unknown is data. */
  extentAt(
    image: Image,
    offset: number,
    options: BackendOptions,
  ): Promise<{ readonly hole: boolean; readonly end: number }>
  residence(image: Image): Residence
  /** The origin's own words about an image, by name, as it said them last; null: none. */
  properties(image: Image): Readonly<Record<string, string>> | null
  /** Bytes, for statfs: the cache's capacity and what is free in it. */
  capacity(): { readonly capacityBytes: number; readonly usedBytes: number; readonly images: number }
}
