/**
 * Limits of fuse/filesystem/: each with its unit last and the reason or the sum that led to it.
 */

/** Open directories: 64 bytes each until they are read. */
export const openDirectoriesMax = 65_536

/**
 * Names in the listings of all open directories together, those that are shared once: two versions of a long one are
 * 200 MiB.
 */
export const openDirectoryNamesMax = 2_000_000

/** Lines about failed requests that may be logged per second; the rest are counted. */
export const failureLinesPerSecondMax = 10

export const passthroughRetryMs = 3_000
