/**
 * Limits of origin/http/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/** Origin requests in flight at once, per origin. */
export const originConcurrencyDefault = 64

/** Deadlines of one origin request: connection, first byte, and a pause between bytes. */
export const connectMsMax = 5_000

export const firstByteMsMax = 10_000

export const stallMsMax = 10_000

/** Longest secret: servers take headers of 8 KiB at most by default, and most tokens are far shorter. */
export const secretBytesMax = 8 * KiB

/** Longest file that has secrets among other values: some hundred clouds of OpenStack. */
export const keyedFileBytesMax = 256 * KiB

/** The time that a program may take to print a secret. */
export const secretCommandMsMax = 10_000

/**
 * The time for which a secret from a file is taken as good; the default of one from a program, for a token of an hour.
 */
export const secretFileMs = 5_000

/** Pause between two readings because a server refuses what it was sent: refusals are not all about secrets. */
export const secretRenewMs = 5_000

/** The time for which an image that was answered otherwise natively is read by TypeScript alone. */
export const nativePauseMs = 60_000

/** Redirects followed in one request. */
export const redirectsMax = 5

/** Bytes of a listing, and of one entry: a million names as nginx lists them, with dates. */
export const listingBytesMax = 128 * MiB

export const listingEntryBytesMax = 1 * MiB

/**
 * The time for which two versions may have the same time, and so the same validator. HTTP's dates have whole seconds,
 * and the clock of the date need not be that of the time of modification: two. Source: RFC 9110 8.8.2.2.
 */
export const httpTickMs = 2_000

/** Names of images without ranges that are remembered: others are asked for a range at each lookup. */
export const sequentialNamesMax = 4_096
