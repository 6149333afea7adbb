/**
 * Limits of admin/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../base/limits.ts'

/** Bytes of a request to the admin socket, and of an answer that the command line accepts. */
export const adminRequestBytesMax = 256 * KiB

export const adminAnswerBytesMax = 64 * MiB

/** Longest path of a Unix socket. Source: Linux include/uapi/linux/un.h, sun_path has 108 bytes with the NUL. */
export const socketPathBytesMax = 107

/** Connections to the admin socket at once. */
export const adminConnectionsMax = 64

/** Connections to the metrics port at once: few scrapers exist, and every user of the machine may connect. */
export const metricsConnectionsMax = 16

/**
 * The age up to which a text of metrics is given to everyone: they are scraped every few seconds, and making one takes
 * milliseconds.
 */
export const metricsFreshMs = 1_000

/** The time a request to the admin socket may take to arrive, and its answer to come. */
export const adminMsMax = 10_000

/** The time for which a worker that stops ends its answers: guests wait for the next one meanwhile. */
export const adminDrainMsMax = 1_000

/** The time a worker may take from its start until it knows whether it could boot. */
export const prepareMsMax = 60_000

/** The time for which a command waits for the successor of a worker that has died, and the interval of its looks. */
export const successorMsMax = 30_000

export const successorLookMs = 50

/**
 * The same for the next supervisor, which a service manager starts after a second: from then on the wait is that for
 * its worker.
 */
export const nextSupervisorMsMax = 5_000

/**
 * Looks at the kernel's list of locks before a lock counts as absent. Where 60 locks of 260 come and go all the time, a
 * look misses a given one three times in 10,000. Shorter lists come in one page, and one look is enough: half a page.
 * Source: Linux fs/seq_file.c, seq_read_iter, which fills one page a call.
 */
export const lockLooksMax = 4

export const lockListPageBytes = 2 * KiB

/** Resumptions of long work by successors. Fewer than the crashes of a loop: the work may be what kills. */
export const longResumesMax = 3

/** The time that a client waits for an answer that takes a walk over all objects: ten million take some seconds. */
export const walkMsMax = 60_000
