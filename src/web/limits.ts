/**
 * Limits of web/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB } from '../base/limits.ts'

/** The interval of snapshots while a page is open, and that of samples while none is. */
export const webSnapshotMs = 1_000
export const webIdleSampleMs = 5_000

/** Samples in memory: an hour without pages, twelve minutes with one; 200 bytes each. */
export const webSamplesMax = 720

/** Open streams of events: each has one snapshot in its socket. A browser needs one for all its pages. */
export const webWatchersMax = 48

/** The time for which a stream may take nothing before it is ended. */
export const webWatcherStallMs = 30_000

/**
 * Images in one answer; the least age up to which a list is given to every page, and the share of a core that making it
 * may take: 10,000 images take some 30 ms.
 */
export const webImagesMax = 200
export const webImagesFreshMs = 10_000
export const webImagesCostShare = 0.004

/** Answers with images that are kept as text, for pages that look at the same: 50 KiB each. */
export const webWindowsMax = 8

/** Characters of a search. */
export const webSearchCharsMax = 256

/**
 * Block maps in memory, 16 KiB at most each, and the age up to which one is given to every page. A walk that took so
 * long is not repeated for a hundred times that: 1 % of a core.
 */
export const webMapsMax = 16
export const webMapFreshMs = 1_000
export const webMapCostShare = 0.01

/** Walks for block maps at once; others wait. */
export const webMapWalksMax = 2

/** Bytes of a request's body and of its path. */
export const webRequestBytesMax = 16 * KiB
export const webPathCharsMax = 8_192

/** Connections to the port of the page at once: six for each of some browsers. */
export const webConnectionsMax = 128

/** The time that a request may take to arrive. */
export const webRequestMsMax = 10_000

/** The age up to which an estimate for other capacities is given to every page: it takes seconds. */
export const webPlanFreshMs = 60_000

/** Promotions and evictions at once that pages have started. */
export const webActionsMax = 4

/** The time that a session is good for: a working day. */
export const webSessionMs = 12 * 3_600_000

/** The time that an unused link is good for, and the number of such links. */
export const webLinkMs = 600_000
export const webLinksMax = 32

/** Wrong logins in a minute: then all are refused until it is over. */
export const webLoginFailuresMax = 20
export const webLoginWindowMs = 60_000

/** Bytes of the page's files together; a test compares. */
export const webPageBytesMax = 150 * KiB

/** Time of one estimate of a curve in a process of its own: ten times that of the largest sample on a busy machine. */
export const planMsMax = 60_000

/** Priority of that process: what serves reads goes first. */
export const planPriority = 10

/** Rows of a plan as JSON: seven of them are 4 KiB. */
export const planRowsBytesMax = 1024 * 1024
