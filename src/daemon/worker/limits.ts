/**
 * Limits of daemon/worker/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB } from '../../base/limits.ts'

/**
 * The margin that a layer leaves to the one below it, so that the layer that knows the reason of a failure is the one
 * to say it.
 */
export const answerMarginMs = 500

/** The interval at which the lateness of timers is measured. */
export const lagLookMs = 250

/**
 * Room that is reserved behind the end of the index for commits on a full disk: the growth of ten batches, and a small
 * share of capacity.
 */
export const indexReserveBytesMax = 1 * MiB

export const indexReserveShare = 1 / 128

/** The interval at which the worker returns the free memory of its allocator: after a storm, some 75 MiB in 4 ms. */
export const memoryReleaseMs = 10_000

/**
 * The time that an origin may take for the fetch of a session thread; then TypeScript takes over, which retries and
 * hedges. Several trips to the other side of the earth.
 */
export const nativeFetchMsMax = 1000
