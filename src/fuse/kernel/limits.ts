/**
 * Limits of fuse/kernel/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB } from '../../base/limits.ts'

/** The time for which the kernel may keep attributes without asking: a day, because an image never changes. */
export const attributeSecondsValid = 86_400

/**
 * Longest answer with names of a directory, in bytes: some milliseconds of work, though the kernel may take a megabyte.
 */
export const directoryPageBytesMax = 128 * KiB

/**
 * The interval at which requests that wait that long are looked at: was their reader killed? Of O_DIRECT the kernel
 * does not tell.
 */
export const killedSweepMs = 1_000

/** Readers looked at in one of these sweeps: 256 take some milliseconds. */
export const killedSweepMax = 256

/** First and longest pause between two looks at whether an interrupted reader was killed. */
export const killedLookMsMin = 10

export const killedLookMsMax = 500

/** Pause before the kernel is asked to repeat an INTERRUPT of a request that we do not know (yet). */
export const interruptRepeatMs = 10

/** INTERRUPTs waiting for that; more are dropped, and their readers wait for the answer. */
export const interruptsWaitingMax = 4096

/** Requests in work that are noted for the supervisor: 512 KiB of notes. */
export const workNotesMax = 4096

/** The time for which reports of READs that may wait are gathered: each call of the main thread costs a wake. */
export const reportDelayMs = 2

/** Reports that are heard in one turn: a fifth of a millisecond, so that requests need not wait for a batch. */
export const reportsTogetherMax = 8
