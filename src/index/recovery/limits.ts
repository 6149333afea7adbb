/**
 * Limits of index/recovery/: each with its unit last and the reason or the sum that led to it.
 */

/**
 * The time that copying a damaged index may take: it may have no end. 262,144 records, those of a full terabyte, took
 * 7 seconds at a load of 17 on 2 cores. Without a copy the cache is lost, and a boot may take twice as long as this.
 */
export const salvageMsMax = 60_000
