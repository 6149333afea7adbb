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
