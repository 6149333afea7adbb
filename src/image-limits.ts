/** The limits of an image itself; all others are in limits.ts. */

const TiB = 1024 ** 4

/**
 * Largest image: with the smallest blocks its residency table, 16 bytes for each object of 64 of them, is then 4 GiB, which is all that
 * JavaScript can see of one buffer. Source: Node.js 20, buffer.constants.MAX_LENGTH.
 */
export const imageBytesMax = 64 * TiB
