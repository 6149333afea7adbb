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

/** Nodes of which it is remembered that the kernel has forgotten them; others are asked about again. */
export const forgottenNodesMax = 4096

/**
 * The time for which an image is not offered by passthrough after an open could not be one, and no image after a
 * takeover. The open asks for the name again within microseconds, and must not be told the same node: the kernel asks
 * once only. This is for processes that are stopped in between.
 */
export const passthroughRetryMs = 5_000
