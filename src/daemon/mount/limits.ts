/**
 * Limits of daemon/mount/: each with its unit last and the reason or the sum that led to it.
 */

/** The time a mount may take to answer a `statfs` before it counts as hung, also the one just made. */
export const mountAnswerMsMax = 10_000

/** The time that fusermount3 may take. */
export const fusermountMsMax = 10_000
