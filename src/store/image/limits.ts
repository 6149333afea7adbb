/**
 * Limits of store/image/: each with its unit last and the reason or the sum that led to it.
 */

export const batchEntriesMax = 256
