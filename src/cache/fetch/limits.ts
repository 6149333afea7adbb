/** Limits of fetching and of reading ahead, each with the reason or the sum that led to it. */
import { KiB, MiB } from '../../base/limits.ts'

/**
 * The gapless run of a reader from which it is a stream: a boot reads many files of less, and most bytes behind them
 * are not wanted.
 */
export const prefetchRunBytesMin = 512 * KiB
/**
 * The gapless run from which on as much is fetched ahead of a reader that waits as the path carries in the time of a
 * wait, and the operator's multiple of the run at most. Of the recorded boots fewer reads wait then, for as many bytes.
 */
export const prefetchWaitRunBytesMin = 256 * KiB
/**
 * The window of a stream, from its start to one that has gone on for long: 32 MiB are 27 ms of 10 Gbit/s, 8 requests of
 * 4 MiB.
 */
export const prefetchWindowBytesMin = 128 * KiB
export const prefetchWindowBytesMax = 32 * MiB
/**
 * The distance behind a stream within which its bytes stay in the page cache: until they are surely on the disk, and
 * for readers that follow closely. More would fill the memory of the host with bytes that have been read, each byte of
 * a buffered reader twice.
 */
export const leftBehindBytes = 64 * MiB
/**
 * The run from which a stream bypasses the page cache: writing into new pages takes ten times the CPU of O_DIRECT, and
 * readers of a stream are answered from the read-ahead buffer. A shorter one may be a file that is read again soon.
 */
export const uncachedRunBytesMin = 16 * MiB
/** One request: below it most of the time goes into asking, above it a reader waits long for its first block. */
export const prefetchRequestBytesMin = 256 * KiB
export const prefetchRequestBytesMax = 4 * MiB
/**
 * The time that a request takes on its way at least, as far as they may be so large: asking costs some tenths of a
 * millisecond of the main thread.
 */
export const prefetchRequestMs = 12
/**
 * The requests of the window of a long stream, at most: a quarter of it is planned at once. A server that works for
 * milliseconds on each request never shows its bandwidth with more. And the time that such a request may take: the
 * reader of its first block waits for all of it.
 */
export const prefetchWindowRequestsMax = 4
export const prefetchRequestMsMax = 100
/**
 * Bytes being prefetched, beside those that readers wait for; and the bytes that are always allowed, also while a
 * reader waits for something else: 10 ms of 100 MiB/s.
 */
export const prefetchBytesMax = 48 * MiB
export const prefetchBytesMin = 1 * MiB
/** The share of the turns at an origin that reading ahead may take. */
export const prefetchSlotsShare = 0.25
/** Pieces that wait for their turn: two windows of the largest pieces for each of 64 streams. */
export const prefetchRequestsQueuedMax = 1024
/**
 * Bytes of the read-ahead buffer, from which readers are answered in memory: a window of one stream, and the bytes that
 * it has just read, for readers that follow it closely.
 */
export const readaheadBufferBytesMax = 40 * MiB
export const readaheadReadBytesMax = 8 * MiB
/** The time, and the number of ranges, for which it is known whether they were read: 300 bytes of memory for each. */
export const readaheadBufferMsMax = 10_000
export const readaheadBufferRangesMax = 4096
/** Bytes that the store did not take and that stay in memory for readers that come back, and the time that they do. */
export const unpromotedBytesMax = 16 * MiB
export const unpromotedMsMax = 10_000
/**
 * The bytes that are looked back upon to judge whether prefetching pays, and the share of them that may have gone
 * unread.
 */
export const prefetchRecentBytes = 64 * MiB
export const prefetchUnreadShareMax = 0.5
/** The bounds on bytes that are fetched ahead of misses of one image, and never read. */
export interface ReadAroundLimits {
  /** Their share of all that is fetched around misses. */
  readonly unreadShareMax: number
  /** Bytes that may be fetched before any of them was read. */
  readonly startBytes: number
  /** Bytes that are fetched ahead of a short run, as a multiple of it. */
  readonly runsMax: number
}

/**
 * The operator's choices. Where the link carries more, a boot of 45 MiB in clusters fetches about 1.9, 3 and 5 times
 * its bytes by them; docs/PERFORMANCE.md has the figures.
 */
export const readAroundChoices = {
  frugal: { unreadShareMax: 0.4, startBytes: 8 * MiB, runsMax: 0.5 },
  balanced: { unreadShareMax: 0.7, startBytes: 32 * MiB, runsMax: 2 },
  fast: { unreadShareMax: 0.85, startBytes: 64 * MiB, runsMax: 4 },
} as const satisfies Readonly<Record<string, ReadAroundLimits>>
export type ReadAroundChoice = keyof typeof readAroundChoices
export const readAroundDefault: ReadAroundChoice = 'balanced'
/** The share of the start that one miss may take: what lies further away is read less often. 512 KiB, 2 and 4 MiB. */
export const readAroundMissShare = 1 / 16
/** Credit that an image can save up, in starts: good times are not paid for in bad ones without an end. */
export const readAroundCreditMax = 2
/** Credit for bytes that readers wait for: what shows, for 6 % more bytes, that neighbours are read again. */
export const readAroundEarnedShare = 1 / 16
/** The time after a cold open in which the reads of an image are recorded: longer than a slow guest boots. */
export const profileMs = 120_000
/**
 * Bytes of a profile at most: more is not a boot. And the share of capacity, so that its blocks do not drive out all
 * others.
 */
export const profileBytesMax = 256 * MiB
export const profileShareMax = 1 / 8
/** Runs of blocks of a profile that is kept: they go into one request to the admin socket. */
export const profileRunsMax = 3072
/** An image of which less is held is cold: what its first reader does is worth noting. */
export const profileColdBytesMax = 8 * MiB
/** The number of openers in a row for which a block may go unread before a profile forgets it. */
export const profileStrikesMax = 2
/** Of the objects that a profile had fetched, as many must have been read, or it is dropped. */
export const profileUsedShareMin = 0.5
/**
 * Bytes that are fetched at once in the order of the disk, not of the profile: so many make large requests of small
 * steps.
 */
export const profileBatchBytes = 8 * MiB

/** Bytes and batches that wait for promotion; over it, a miss is answered and not promoted. */
export const promotionBytesMax = 64 * MiB

export const promotionEntriesMax = 4096

/** Bytes that are written together at most, unless one extent has more: 8 ms of a disk that writes 250 MB/s. */
export const promotionBatchBytesMax = 2 * MiB

/**
 * The time for which less than that is gathered: each batch has its price on the main thread. Readers find the bytes in
 * memory meanwhile.
 */
export const promotionDelayMs = 5

/** Batches of promotions that run at once: enough to keep an SSD busy. */
export const promotionConcurrency = 8

/** The time for which arrivals of native fetches that nobody waits for are gathered, for the same reason as reports. */
export const arrivalDelayMs = 2

/** Bytes of a pass over a sequential image that are claimed at once: a reader that joins waits for all of them. */
export const passPieceBytesMax = 1 * MiB

/** Bytes of one pass that wait for promotion: a quarter of all, so that four passes have no piece dropped. */
export const passUnsettledBytesMax = 16 * MiB

/** The pause of a pass that waits for room, and its tries under a ceiling that leaves none: a second. */
export const passRoomMs = 10

export const passRoomTriesMax = 100

/** The share of its miss time-out that a read has left at least, however long a session thread waited: one try. */
export const missShareMin = 1 / 3
