/**
 * Limits of store/disk/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB } from '../../base/limits.ts'

/** Kept back from capacity for extent trees, directories and the index: a share and a constant. */
export const keptBackShare = 0.01

export const keptBackBytes = 2 * MiB

/** Eviction starts over the high watermark and stops under the low one; shares of the usable capacity. */
export const highWatermarkDefault = 0.95

export const lowWatermarkDefault = 0.9

/** The share of the file system that stays free whatever the capacity says. */
export const freeShareMin = 0.05

/**
 * A batch of promotions is synced and recorded after this many bytes, runs of blocks or milliseconds, whichever comes
 * first.
 */
export const batchBytesMax = 32 * MiB

export const batchMsMax = 200

/** The time a read waits for the cache disk before the origin is asked in its place. */
export const storeReadMsMax = 1_000

/** The interval at which overdue READs are looked for; part of `storeReadMsMax`, so that it holds. */
export const storeReadLookMs = 250

/** The time a write or a sync may take before the cache disk counts as stalled. */
export const storeWriteMsMax = 10_000

/** Failures within the window that end the healthy state: one may be a bad sector, three are a bad disk. */
export const healthFailuresMax = 3

export const healthFailuresWindowMs = 10_000

/** Good probes in a row that bring it back. */
export const healthProbesNeeded = 3

/** The pause between probes: doubled after each that failed. */
export const probeIntervalMsMin = 1_000

export const probeIntervalMsMax = 30_000

/**
 * The pause before a data file that could not be made is tried again, and between two lines in the log about such
 * files.
 */
export const fileRetryMs = 10_000

export const fileLineMsMin = 10_000
