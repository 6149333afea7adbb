/**
 * Limits of cache/evict/: each with its unit last and the reason or the sum that led to it.
 */

export const indexHighShare = 0.8

export const indexLowShare = 0.7

/**
 * The time that a new capacity waits for the used bytes to fit, before the answer is that they do not yet: ten thousand
 * objects take seconds; and the interval of its looks.
 */
export const fitMsMax = 60_000

export const fitLookMs = 10

/** One tick of the recency clock, in milliseconds. A u32 of ticks lasts 13 years of running. */
export const tickMs = 100

/** The interval at which recency is saved. */
export const recencySaveMs = 60_000

/** The pause after an eviction that failed: doubled after each that fails again. */
export const evictionRetryMsMin = 1_000

export const evictionRetryMsMax = 30_000

/** The share of the capacity that pinned images may take: the rest is for what is read. */
export const pinnedShareMax = 0.5

/** Names that may be pinned: every pass of the eviction looks at each. */
export const pinsMax = 4096

/** Rounds over the objects of an image that is evicted on request: objects that are read come back in between. */
export const evictRoundsMax = 4

/**
 * Objects of one hit set: twice those that the cache can hold, so that what was read by proxy is in it, too. A Bloom
 * filter of the most has 1.2 MiB at 1 % of false positives, a list 5 MiB.
 */
export const hitSetObjectsMin = 4096

export const hitSetObjectsMax = 2 ** 20

export const explicitObjectsMax = 2 ** 17

/** Hit sets of one origin, and the interval at which their periods are looked at. */
export const hitSetsMax = 32

export const hitSetLookMs = 500

/** The interval at which hit sets are saved: a set of the most, once in ten minutes, is 0.2 GB a day. */
export const hitSetSaveMs = 600_000

/** The interval of the walks that enter native hits: 40 ms in slices for a quarter of a million objects. */
export const walkMs = 60_000

/**
 * The time for which reads of an object count as one use: kernel and readers ask for an object in pieces, and a second
 * piece is not a second reading.
 */
export const visitMs = 1_000

/** Visits that are remembered, the same of objects that were fetched ahead: one more makes the oldest be forgotten. */
export const visitsMax = 8192

/** The pause of the eviction after a pass that found everything too young. */
export const youngPauseMs = 1_000

/** The shares of `maxObjects` above which eviction starts, and below which it stops. */
export const objectsHighShare = 0.95

export const objectsLowShare = 0.9

/** Bytes of the write budget that are spent between two savings of it, as a share of its burst; and the time. */
export const writeSaveShare = 1 / 16

export const writeSaveMs = 60_000

/** Interval of adding up what only other hosts read: a walk over a quarter of the objects. */
export const foreignLookMs = 1_000
