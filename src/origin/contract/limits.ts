/**
 * Limits of origin/contract/: each with its unit last and the reason or the sum that led to it.
 */

/** Looks at an image that is replaced again and again, a tick apart, until its lookup fails. */
export const youngLooksMax = 4

/** Names whose versions are known to stay though they are said to be young: a kilobyte each at most. */
export const youngNamesMax = 1_024

/** Longest key of an image below the root of its origin. Source: Amazon S3 User Guide, "Creating object key names". */
export const keyBytesMax = 1024
