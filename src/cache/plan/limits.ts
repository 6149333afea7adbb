/** Limits of cache/plan/: each with its unit last and the reason or the sum that led to it. */

/**
 * Objects of the sample, at most, and as long as there are more the uses of fewer objects are remembered rather than
 * fewer uses. Source: Waldspurger and others, FAST 15: 8192 have a mean error of less than 0.01. Four times as many
 * halve it, which the cliffs of loops need.
 */
export const sampledObjectsMax = 32_768

export const sampledObjectsMin = 8192

/** Uses of sampled objects that are remembered, 28 bytes each: 14 MiB. The oldest are forgotten. */
export const sampledUsesMax = 2 ** 19

/** The interval at which native samples are taken, and the longest to which many of them stretch it. */
export const sampleMsMin = 100

export const sampleMsMax = 1_000

/** Time of the main thread for one sample, its part of shrinking included: measured as 0.9 to 1.4 us when busy. */
export const sampleCostMs = 0.002

/** The share of the time of the main thread that sampling may take: the next taking waits that much longer. */
export const sampleShareMax = 1 / 50

/** The time after which a sample grows again, of which fewer objects than these were used meanwhile. */
export const growMs = 600_000

export const growObjectsMax = 2048
