/**
 * Limits of cache/integrity/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/**
 * The rate of the scrub at most: 10 GiB take five minutes, a terabyte nine hours. It is 6 % of the rate of the slowest
 * SSD, and its checksums take less than 1 % of a core.
 */
export const scrubBytesPerSecond = 32 * MiB

/** The most that the scrub reads while it holds the lock of an object: some milliseconds. */
export const scrubPieceBytesMax = 1 * MiB

/** The bytes that a piece counts at least: single blocks of 4 KiB are then 512 look-ups a second, not 8192. */
export const scrubPieceBytesMin = 64 * KiB

/** The time of a scrub round, spread evenly: a rotting disk shows it in months, and each round reads all blocks. */
export const scrubIntervalMs = 7 * 86_400_000

/** The longest pause before the scrub looks when its next piece is due: held blocks change, and timers have 31 bits. */
export const scrubLookMsMax = 60_000

/** The interval at which it looks whether readers are still busy, and its backlog at most, as a share of the round. */
export const scrubBusyLookMs = 100

export const scrubBusyShareMax = 0.1

/** The interval at which background work looks whether a sick disk is well again. */
export const sickLookMs = 1_000

/** The pause before an origin that could not be asked for a digest is asked again. */
export const digestRetryMs = 300_000

/** The pause after a start before unknown digests are asked for: a restart asks nothing of the origin. */
export const digestStartMs = 60_000

/** Bytes hashed at once, on the thread of all requests: half a millisecond. */
export const hashPieceBytes = 256 * KiB
