/**
 * Description of one image for operators: identity, state, reads and boot profile. It only looks, and asks no origin.
 */
import type { Image } from '../../base/image.ts'
import type { ProfileRecord } from '../../index/format/records.ts'
import type { ImageEntry } from '../../index/index-database.ts'
import type { Store } from '../../store/store.ts'
import type { DigestState } from '../integrity/digest-verifier.ts'
import type { CacheMode } from '../modes/cache-mode.ts'
import { type ByteRange, profileFileOf } from '../prefetch/profile-file.ts'
import type { ImageReads } from '../read/read-counters.ts'
import { describedRangesMax } from './limits.ts'

export interface ImageDescription {
  readonly name: string
  /** The origin's URL without credentials. */
  readonly origin: string
  readonly imageId: string
  /** The inode number. */
  readonly nodeId: string
  readonly validator: string
  readonly sizeBytes: number
  /** Milliseconds since 1970; 0 where the origin has none. */
  readonly modifiedMs: number
  readonly residentBytes: number
  readonly complete: boolean
  readonly digest: DigestState
  readonly mode: CacheMode
  readonly pinned: boolean
  readonly open: boolean
  readonly reads: ImageReads
  /** The boot profile: its state in words, and its first ranges in the order of their reads. */
  readonly profile: {
    readonly state: string
    readonly openers: number
    /** Of all ranges. */
    readonly bytes: number
    readonly ranges: readonly ByteRange[]
    /** Ranges that are left out here. */
    readonly moreRanges: number
  }
}

/** The parts of a description. */
export interface DescriptionContext {
  readonly name: string
  readonly entry: ImageEntry
  readonly pinned: boolean
  readonly record: ProfileRecord | null
  readonly store: Pick<Store, 'find'>
  readonly digester: { state(image: Image): DigestState }
  readonly modes: { of(image: Image): CacheMode }
  readonly profiles: { stateOf(image: Image): string }
  readonly reader: { readonly counters: { of(image: Image, stored: ReturnType<Store['find']>): ImageReads } }
  isOpen(image: Image): boolean
}

export function describeImage(parts: DescriptionContext): ImageDescription {
  const { image, nodeId } = parts.entry
  const stored = parts.store.find(image.id)
  const ranges = parts.record ? profileFileOf(image, parts.record).ranges : []
  return {
    ...{ name: parts.name, origin: image.origin, imageId: image.id, nodeId: nodeId.toString() },
    ...{ validator: image.validator, sizeBytes: image.sizeBytes, modifiedMs: image.modifiedMs },
    residentBytes: stored?.heldBytes ?? 0,
    complete: stored ? stored.complete : image.sizeBytes === 0,
    digest: parts.digester.state(image),
    mode: parts.modes.of(image),
    pinned: parts.pinned,
    open: parts.isOpen(image),
    reads: parts.reader.counters.of(image, stored),
    profile: {
      state: parts.profiles.stateOf(image),
      openers: parts.record?.openers ?? 0,
      bytes: ranges.reduce((sum, [, length]) => sum + length, 0),
      ranges: ranges.slice(0, describedRangesMax),
      moreRanges: Math.max(0, ranges.length - describedRangesMax),
    },
  }
}
