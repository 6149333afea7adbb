/**
 * Limits of origin/sequential/: each with its unit last and the reason or the sum that led to it.
 */

/**
 * Passes over sequential images of one origin at once. Each holds one of the origin's slots for as long as it takes,
 * and together they should not take all of a small server's bandwidth from reads of ranges.
 */
export const passesMax = 4

/**
 * The time for which a pass waits whose bytes are neither read nor kept: longer than the pauses of a reader that goes
 * on, as short as web servers wait with an answer that is not received.
 */
export const passIdleMs = 10_000

/** Sequential images that are known as such; of one that was forgotten, the next read is refused once more. */
export const sequentialImagesMax = 4_096
