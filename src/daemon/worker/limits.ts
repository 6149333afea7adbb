/**
 * Limits of daemon/worker/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB } from '../../base/limits.ts'

/** What a layer leaves to the one below it, so that whoever knows the reason of a failure is the one to say it. */
export const answerMarginMs = 500

/** How often it is looked how late timers come. */
export const lagLookMs = 250

/** Room that is kept behind the end of the index for commits on a full disk: what ten batches add, and a small share of capacity. */
export const indexReserveBytesMax = 1 * MiB

export const indexReserveShare = 1 / 128

/** How often the worker gives back what its allocator keeps free: after a storm, some 75 MiB in 4 ms. */
export const memoryReleaseMs = 10_000
