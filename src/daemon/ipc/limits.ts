/**
 * Limits of daemon/ipc/: each with its unit last and the reason or the sum that led to it.
 */

/** Longest message between supervisor and worker: a configuration of 64 KiB as JSON takes far less. */
export const messageBytesMax = 1024 * 1024
