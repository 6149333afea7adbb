/** What the cache says of itself, for status. */
import type { DigestState } from './digester.ts'
import type { EvictionCounters } from './evictor.ts'
import type { ForgetterCounters } from './forgetter.ts'
import type { PassthroughCounters } from './passthroughs.ts'
import type { PromotionCounters } from './promoter.ts'
import type { ImageReads, ReadCounters, ReadLatencies } from './reader.ts'
import type { AheadCounters } from './reading.ts'
import type { RetirementCounters } from './retirer.ts'
import type { ScrubCounters } from './scrubber.ts'

/** One image for status. */
export interface ImageStatus extends ImageReads {
  readonly name: string
  readonly sizeBytes: number
  readonly residentBytes: number
  readonly complete: boolean
  readonly validator: string
  /**
   * The whole image against the digest that its publisher gives: `none` where none is given, `unverified` until the image is
   * complete; after a `mismatch` its reads fail.
   */
  readonly digest: DigestState
  /** Never evicted, as far as pinned images take no more than half of the capacity. */
  readonly pinned: boolean
  /** Does anybody have it open? */
  readonly open: boolean
}

export interface CacheCounters {
  readonly reads: ReadCounters
  readonly latencies: ReadLatencies
  readonly promotion: PromotionCounters
  readonly eviction: EvictionCounters
  readonly scrub: ScrubCounters
  readonly retirement: RetirementCounters
  readonly ahead: AheadCounters
  readonly passthrough: PassthroughCounters
  /** Extents being fetched or promoted now. */
  readonly flights: number
  readonly knownImages: ForgetterCounters
  /** Listings that had more names than are shown. */
  readonly cutListings: number
}
