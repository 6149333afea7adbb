/**
 * Limits of index/recovery/: each with its unit last and the reason or the sum that led to it.
 */

/** The time that copying a damaged index may take: it may have no end. */
export const salvageMsMax = 30_000
