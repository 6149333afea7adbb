/**
 * Limits of daemon/ipc/: each with its unit last and the reason or the sum that led to it.
 */

/** Longest message between supervisor and worker: a configuration of 64 KiB as JSON takes far less. */
export const messageBytesMax = 1024 * 1024

/** Types of messages that a process tells of when it ignores them: a peer that makes types up fills no log. */
export const ignoredTypesMax = 16

/** Longest type that is told, in characters: the longest of ours has 15. */
export const typeCharactersMax = 40
