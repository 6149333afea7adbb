/**
 * The shape of GET /status, and of `parentfs status --json`.
 *
 * Fields may be added; none changes its meaning or goes.
 */

import type { LatencyCounts } from '../base/latency-histogram.ts'
import type { ImageStatus } from '../cache/cache-status.ts'
import type { CacheMode } from '../cache/modes/cache-mode.ts'
import type { PrefetchStatus } from '../cache/read/read-path.ts'
import type { LibrbdReport } from './librbd-report.ts'

/** `starting` until the mount answers; `stopping` when it has gone. */
export type DaemonState = 'starting' | 'ready' | 'stopping'

export interface Status {
  readonly version: string
  readonly mountpoint: string
  readonly transport: string
  readonly state: DaemonState
  readonly pid: number
  readonly supervisorPid: number
  /** The file that its settings are from; null: the command line. */
  readonly configFile: string | null
  /** The file that the log goes to; null: standard error. */
  readonly logFile: string | null
  /**
   * Workers that took over on this mount, and the time that requests waited for the last and for the slowest of them.
   * `possible`: false on kernels that repeat no requests, and over fuse-native. `heldByManager`: the service manager
   * holds the mount, which outlives its supervisor too. `refusedUpgrade`: the reason why the last upgrade ended with
   * the version of before, or null.
   */
  readonly takeovers: {
    readonly possible: boolean
    readonly heldByManager: boolean
    readonly count: number
    readonly lastPauseMs: number
    readonly longestPauseMs: number
    readonly refusedUpgrade: string | null
  }
  readonly uptimeSeconds: number
  readonly cache: {
    readonly directory: string
    /** The directory that the cache has left and that is being emptied; null: none. */
    readonly movedFrom: string | null
    readonly blockBytes: number
    readonly capacityBytes: number
    readonly usedBytes: number
    /** Used bytes at which eviction starts, and at which it stops. */
    readonly highBytes: number
    readonly lowBytes: number
    /** Objects of which the store holds at least one block. */
    readonly objects: number
    /** The part of the index that is not locked in memory: a disk error there ends the worker. */
    readonly unlockedIndexBytes: number
  }
  /** Bytes of pinned images: held, at most, and allowed together. */
  readonly pinned: { readonly heldBytes: number; readonly maxBytes: number; readonly allowedBytes: number }
  /** Of the cache disk: see OPERATIONS. */
  readonly health: {
    readonly state: 'healthy' | 'degraded' | 'bypass' | 'recovering'
    /** Why it is not healthy; empty when it is. */
    readonly reason: string
    readonly sinceSeconds: number
    /** Times that reads waited too long for a disk that works; each time reads went to the origin for a second. */
    readonly busyTimes: number
  }
  /** Since the daemon started; a hit was answered by the store whole. */
  readonly reads: {
    readonly hits: number
    readonly misses: number
    readonly hitBytes: number
    readonly missBytes: number
  }
  /**
   * Latencies of answers, by source: memory and disk are native hits, store are hits that were verified first or tried
   * again, origin are misses. See latency-histogram.ts for the buckets.
   */
  readonly latencies: Readonly<Record<'memory' | 'disk' | 'store' | 'origin', LatencyCounts>>
  /** All origins together; `url` without credentials, of several their names. */
  readonly origin: {
    readonly url: string
    /** Sent since the daemon started, retries included. */
    readonly requests: number
    /** Image data received. */
    readonly bytes: number
    readonly errors: number
    /** Requests that were cancelled: not wanted any more, or a second one was quicker. */
    readonly cancelled: number
    /** Why the image that was looked up last cannot be served: no ranges, no version; empty when it can. */
    readonly unsupported: string
    /** `away`: it does not answer, and is tried again and again. `suspect`: it answered once since. */
    readonly state: 'available' | 'suspect' | 'away'
    /** The last failure in words; empty while it is available. */
    readonly reason: string
    readonly sinceSeconds: number
    /** Reads that wait for it to come back. */
    readonly waiting: number
    /** Since the daemon started: how often it went away, tries that waited for it, names refused because of that. */
    readonly outages: number
    readonly delayed: number
    readonly refused: number
    /** Slow reads that were sent a second time, those won by the second answer, and those over the budget. */
    readonly hedges: { readonly sent: number; readonly won: number; readonly overBudget: number }
  }
  /** Each by itself; `name` is its directory, null where its images are in the root; `mode`: of its images. */
  readonly origins: readonly (Status['origin'] & { readonly name: string | null; readonly mode: CacheMode })[]
  readonly promotion: {
    readonly queuedBytes: number
    readonly promotedBytes: number
    /** Extents that were answered and not promoted. */
    readonly dropped: number
    /** Bytes that were answered and not promoted, because the mode of their image says so. */
    readonly withheldBytes: number
  }
  /** Lateness of timers, sampled: misses wait for it on top. */
  readonly eventLoopLag: LatencyCounts
  /** Prefetch: now, and since the daemon started. */
  readonly prefetch: PrefetchStatus
  readonly eviction: { readonly objects: number; readonly bytes: number }
  /** Blocks that were written to the cache disk; the records of the index come on top. */
  readonly written: {
    /** Since the daemon started, and since the cache was made. */
    readonly bytes: number
    readonly totalBytes: number
    /** Left of the write budget now; null: there is none. */
    readonly leftBytes: number | null
  }
  /** Versions of images that the origin has replaced or deleted. */
  readonly retirement: {
    /** Those that are still here: in use, or kept for a while in case that they come back. */
    readonly superseded: number
    /** Those that went since the daemon started, and those of them that went early because there were too many. */
    readonly retired: number
    readonly forced: number
  }
  /** The comparison of everything held with its checksums, which goes on for ever. */
  readonly scrub: {
    /** Rounds over everything since the daemon started. */
    readonly rounds: number
    /** The age of the round under way. */
    readonly roundStartedSeconds: number
    /** Compared by the scrub since the daemon started. */
    readonly verifiedBytes: number
    /** Damaged blocks, found by any check; they were dropped. */
    readonly corruptBlocks: number
  }
  /** Complete images that the kernel reads by itself; hits and misses do not count these reads. */
  readonly passthrough: {
    /** Why the kernel reads none; empty when it does. */
    readonly off: string
    /** Opens that were given a data file since the daemon started, and those of them that are open now. */
    readonly opens: number
    readonly openNow: number
    /** Images whose data files the kernel reads now, and their bytes: none of it can be evicted. */
    readonly images: number
    readonly heldBytes: number
    /** Times that an image was not given because too much is held already. */
    readonly refused: number
    /** Damaged blocks that were written again from the origin while the kernel read their file. */
    readonly repairedBlocks: number
  }
  /** Images in mode `forward`; hits and misses do not count these reads. */
  readonly forwarding: {
    /** Opens that were given the origin's own file since the daemon started, and those of them that are open now. */
    readonly opens: number
    readonly openNow: number
    /** Opens that could not be given it: their reads are served as in `proxy`. */
    readonly refused: number
    /** Requests of other hosts that were sent on to the origin. */
    readonly redirects: number
  }
  /** Counts of the present. Without readers, listings and open files, all but `nodes` are 0. */
  readonly gauges: {
    /** Requests of the kernel that wait for an answer, and those of them whose reader was interrupted. */
    readonly requests: number
    readonly interrupted: number
    /** Extents being fetched or promoted. */
    readonly inflightFetches: number
    readonly openImages: number
    readonly openDirectories: number
    /** Images that the kernel remembers. */
    readonly nodes: number
  }
  /** Clients of librbd; null: they are not served. */
  readonly librbd: LibrbdReport | null
  readonly images: readonly ImageStatus[]
}
