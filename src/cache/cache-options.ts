/** Options of a cache, and those of them that can be changed while it runs. */
import type { Logger } from '../base/logger.ts'
import type { MissTraces } from '../base/trace.ts'
import type { IndexDatabase } from '../index/index-database.ts'
import type { Store } from '../store/store.ts'
import type { EvictionOptions } from './evict/evictor.ts'
import type { PromotionGateOptions } from './evict/promotion-gate.ts'
import type { FetchEngine } from './fetch/native-fetches.ts'
import type { MountedOrigin } from './fetch/origin-table.ts'
import type { ImageExpiryLimits } from './image-expiry.ts'
import type { ScrubberOptions, ScrubPace } from './integrity/scrubber.ts'
import type { CacheMode } from './modes/cache-mode.ts'
import type { KernelKnowledge } from './names/version-gc.ts'
import type { NativeUses } from './plan/use-sampler.ts'
import type { ProfileGroup } from './prefetch/group-profiles.ts'
import type { ReadPathLimits } from './read/read-path.ts'

export interface CacheOptions extends EvictionOptions, PromotionGateOptions {
  readonly origins: readonly MountedOrigin[]
  readonly index: IndexDatabase
  readonly store: Store
  readonly logger: Logger
  readonly revalidateSeconds: number
  readonly reservedNodeIds: bigint
  readonly acquaintance: KernelKnowledge
  /** Other than the defaults: bytes that wait for promotion, bytes being fetched at once, and ahead of readers. */
  readonly promotionBytesMax?: number
  readonly fetchBytesMax?: number
  readonly readAheadBytesMax?: number
  /** See {@link PromotionHandoffContext}. */
  readonly promotionDelayMs?: number
  /** The mode of the images of origins that have none of their own; `promote` when absent. */
  readonly mode?: CacheMode
  /** See {@link PassthroughImages}. */
  readonly passedElsewhere?: readonly string[]
  /** Data files of open images may be read by session threads again, or not any more. */
  readonly onModes?: () => Promise<void>
  readonly scrub?: Partial<ScrubberOptions>
  /** Share of the capacity for what only other hosts read; 0 when absent. */
  readonly foreignShareMax?: number
  readonly knownImagesMax?: number
  readonly leaving?: ImageExpiryLimits
  /** The hits of session threads; none where absent. */
  readonly nativeUses?: NativeUses
  /** See {@link ReadingParts}. */
  readonly allocateShared?: (bytes: number) => Uint8Array
  readonly engine?: FetchEngine
  /** Hosts that boot profiles are shared with; none when absent. */
  readonly profileGroup?: ProfileGroup
  /** Begins the traces of misses; none are traced where absent. */
  readonly traces?: MissTraces
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Milliseconds since 1970, other than the clock's. */
  readonly wallMs?: () => number
}

/** Limits that can be changed while it runs; the origins of before come first, in their order. */
export type CacheLimits = Pick<ReadPathLimits, 'fetchBytesMax' | 'readAheadBytesMax'> &
  Pick<CacheOptions, 'origins' | 'foreignShareMax'> &
  EvictionOptions &
  PromotionGateOptions & {
    readonly scrub: ScrubPace
    readonly promotionBytesMax: number
    readonly mode: CacheMode
  }
