/** Status of the cache. */

import type { SealTrust } from '../origin/sealed/seal.ts'
import type { EvictionCounters } from './evict/evictor.ts'
import type { WrittenStatus } from './evict/write-budget.ts'
import type { PromotionCounters } from './fetch/promoter.ts'
import type { ForwardedCounters } from './forwarded-images.ts'
import type { DigestState } from './integrity/digest-verifier.ts'
import type { ScrubCounters } from './integrity/scrubber.ts'
import type { CacheMode } from './modes/cache-mode.ts'
import type { KnownImageCounters } from './names/forget-unused.ts'
import type { VersionGcCounters } from './names/version-gc.ts'
import type { PassthroughCounters } from './passthrough-images.ts'
import type { ImageReads, ReadCounts, ReadLatencies } from './read/read-counters.ts'
import type { PrefetchStatus } from './read/read-path.ts'

/** One image for status. */
export interface ImageStatus extends ImageReads {
  readonly name: string
  readonly sizeBytes: number
  readonly residentBytes: number
  readonly complete: boolean
  /** The place that a pass over a sequential image has come to, in its bytes; null: none is under way. */
  readonly passBytes: number | null
  readonly validator: string
  /**
   * The whole image against its publisher's digest: `none` where none is given, `unverified` until the image is
   * complete; after a `mismatch` its reads fail.
   */
  readonly digest: DigestState
  /** Its proof by a hash tree; null where its origin wants none. */
  readonly proof: ImageProof | null
  /** The part that the cache takes in its reads. */
  readonly mode: CacheMode
  /** Never evicted, as far as pinned images take no more than half of the capacity. */
  readonly pinned: boolean
  /** Is it open? */
  readonly open: boolean
}

/** The proof of an image. */
export interface ImageProof {
  /**
   * The reason why its root hash is trusted: `configured`, `signed` or `pinned`, which proves nothing against the way
   * that the image came; null: it was not looked for yet, or there is none.
   */
  readonly trust: SealTrust | null
  readonly rootHash: string | null
  /** Why there is none, or why nothing is taken from an older version; null: there is nothing to say. */
  readonly reason: string | null
}

export interface CacheCounters {
  readonly reads: ReadCounts
  readonly latencies: ReadLatencies
  /** `withheldBytes`: bytes that were answered and not promoted, because the mode of their image says so. */
  readonly promotion: PromotionCounters & { readonly withheldBytes: number }
  readonly eviction: EvictionCounters
  readonly written: WrittenStatus
  readonly scrub: ScrubCounters
  readonly retirement: VersionGcCounters
  readonly prefetch: PrefetchStatus
  readonly passthrough: PassthroughCounters
  readonly forwarding: ForwardedCounters
  /** Uses of sampled objects that found no room. */
  readonly droppedSamples: number
  /** Extents being fetched or promoted now. */
  readonly inflightFetches: number
  readonly knownImages: KnownImageCounters
  /** Listings that had more names than are shown. */
  readonly truncatedListings: number
}
