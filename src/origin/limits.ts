/**
 * Limits of origin/: each with its unit last and the reason or the sum that led to it.
 */

/** The share of them that reads of one image may take: while they hang, a quarter is left for others. */
export const imageShareMax = 0.75

/** Calls for names under way at one origin: beside the reads, so that names do not wait for reads that hang. */
export const originNamesMax = 8
