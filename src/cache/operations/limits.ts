/**
 * Limits of cache/operations/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB, readBytesMax } from '../../base/limits.ts'

/**
 * Pieces of images that are preloaded on request at once, for all such requests together, and their size: enough for a
 * distant origin, little beside the slots of one. A reader that wants a block of a piece waits for all of it.
 */
export const promoteConcurrency = 8

export const promotePieceBytesMax = 1 * MiB

/** The pause of work on request while readers wait for the origin, and while there is no room, in milliseconds. */
export const promotePauseMs = 50

/** Tries of a piece without room before the request fails: three seconds. */
export const promoteTriesMax = 60

/** Ranges in one request. */
export const promoteRangesMax = 1024

/** The longest read that is explained, in bytes: the longest that the kernel asks for. */
export const explainBytesMax = readBytesMax

/** The pause between two rounds of a drain that waits for pins and readers. */
export const drainLookMs = 500

/** Images that a drain names of those that it waits for: a line of text. */
export const drainHoldersShownMax = 5
/** Cells of a block map: more than a screen has room for, and 16 KiB at most as runs. */
export const blockMapCellsMax = 4096

/** The time since its last use for which an object counts as hot: a guest that boots reads for some minutes. */
export const hotMsMax = 300_000

/** Ranges of a boot profile in the description of an image: a picture shows no more. */
export const describedRangesMax = 512

/** The interval at which upgraded names are looked for: a name is revalidated about as often. */
export const deltaLookMs = 2_000

/** The time for which an older version stays at most for the blocks that a new one may take from it. */
export const deltaMsMax = 3_600_000

/**
 * The time without a miss of a new version after which differing blocks of its hash tree are fetched to be compared: a
 * boot has no such pause.
 */
export const deltaQuietMs = 10_000

/** Older versions of which it is remembered that nothing more is to be taken. */
export const copiedVersionsMax = 1_024
