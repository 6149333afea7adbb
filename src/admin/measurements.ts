/**
 * Measurements for metrics: plain numbers of one moment. None of them costs a walk over the contents of the cache.
 */

import type { ErrorCode } from '../base/errors.ts'
import type { LatencyCounts } from '../base/latency-histogram.ts'
import type { PromotionCounters } from '../cache/fetch/promoter.ts'
import type { CacheMode } from '../cache/modes/cache-mode.ts'
import type { KnownImageCounters } from '../cache/names/forget-unused.ts'
import type { FleetStatus } from '../fleet/asking/fleet-status.ts'
import type { LibrbdReport } from './librbd-report.ts'
import type { DaemonState, Status } from './status.ts'

/** One origin; see admin/status.ts for what is counted. */
export interface OriginMeasurements
  extends Pick<Status['origin'], 'requests' | 'bytes' | 'cancelled' | 'state' | 'waiting' | 'outages'> {
  readonly delayed: number
  readonly refused: number
  readonly hedges: Status['origin']['hedges']
  /** Its directory, or its URL where its images are in the root. */
  readonly name: string
  readonly mode: CacheMode
  /** Blocks of images, and of their hash trees, that were not as their publisher made them. */
  readonly wrongBlocks: { readonly data: number; readonly tree: number; readonly kept_tree: number }
  readonly inFlight: number
  readonly errorsByCode: ReadonlyMap<ErrorCode, number>
  readonly readLatencies: LatencyCounts
}

/** Copies of this host at image services: registered now, and changes since the start. */
export interface RegistrationMeasurements {
  readonly registered: number
  readonly added: number
  readonly removed: number
  readonly refused: number
}

/** The serving port. */
export interface ServingMeasurements {
  readonly requests: number
  readonly sentBytes: number
  /** Of them, by native threads. */
  readonly nativeBytes: number
  /** Answered 401. */
  readonly denied: number
  /** Answered 503. */
  readonly busy: number
  /** Connections and requests over a bound. */
  readonly tooMany: number
  readonly connections: number
  /** Requests that wait for bytes of an origin. */
  readonly waiting: number
  /** Bytes held that only other hosts read. */
  readonly foreignBytes: number
}

/** Measurements of the rooms. */
export interface RoomsMeasurements
  extends Pick<
    Status,
    | 'reads'
    | 'latencies'
    | 'prefetch'
    | 'eventLoopLag'
    | 'eviction'
    | 'written'
    | 'scrub'
    | 'retirement'
    | 'pinned'
    | 'passthrough'
    | 'forwarding'
  > {
  /** Uses of sampled objects that found no room: see {@link UseSampler.dropped}. */
  readonly droppedSamples: number
  readonly cache: {
    readonly capacityBytes: number
    readonly usedBytes: number
    readonly indexBytes: number
    /** Images with a data file. */
    readonly images: number
    readonly failedBatches: number
    /** Bytes that came from older versions of sealed images. */
    readonly taken: { readonly reflinkedBytes: number; readonly copiedBytes: number }
    readonly unlockedIndexBytes: number
  }
  readonly health: Status['health']['state']
  readonly busyTimes: number
  readonly origins: readonly OriginMeasurements[]
  readonly promotion: PromotionCounters & { readonly withheldBytes: number }
  readonly knownImages: KnownImageCounters
  /** Listings that had more names than are shown. */
  readonly truncatedListings: number
  readonly gauges: Status['gauges']
  readonly serving: ServingMeasurements
  readonly registrations: RegistrationMeasurements
  /** Spans of traced misses: taken by the collector, and lost on the way. */
  readonly traces: { readonly exported: number; readonly dropped: number }
  readonly librbd: Omit<LibrbdReport, 'parents'>
}

export interface Measurements extends RoomsMeasurements {
  readonly version: string
  readonly state: DaemonState
  /** Null: this host is in no group. */
  readonly fleet: FleetStatus | null
  /** Connections over the bound. */
  readonly refusedConnections: { readonly admin: number; readonly metrics: number; readonly web: number }
  readonly process: {
    readonly residentBytes: number
    readonly heapUsedBytes: number
    readonly externalBytes: number
    readonly cpuSeconds: number
    /** Since the epoch. */
    readonly startedSeconds: number
    /** Lines of its log that could not be written. */
    readonly logLinesLost: number
  }
}

/** This process now. */
export function measureProcess(): Omit<Measurements['process'], 'logLinesLost'> {
  const { rss, heapUsed, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return {
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    externalBytes: external,
    cpuSeconds: (user + system) / 1e6,
    startedSeconds: performance.timeOrigin / 1000,
  }
}
