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

/**
 * Bounds of the warm-up: processor time, from which on it reads no more; time, after which the worker goes on without
 * it; reads that miss; and bytes of a stream.
 */
export const warmUpCpuMsMax = 300
export const warmUpMsMax = 2_000
/** The time without a request after which a worker that took over a mount is idle, and how often that is looked for. */
export const warmUpIdleMs = 250
export const warmUpLooksMax = 20
/** A power of two: see `readAll`, which reads each block once. */
export const warmUpRandomReads = 32
export const warmUpStreamBytes = 1 * MiB

/** Copies that are registered at image services: as many images as a host holds whole, with room. */
export const registrationsMax = 4_096

/** The time between two turns of registration, and the changes of one. */
export const registrationTurnMs = 15_000

export const registrationsPerTurn = 8

/** The time after which an image service that refused a location is asked again. */
export const registrationRefusedMs = 60 * 60_000

/** The time between two tries to open a fleet or an origin that could not be opened while guests wait. */
export const openRetryMs = 10_000
