/**
 * Every limit of the program, with its unit last and the reason or the sum that led to it.
 *
 * A limit that an operator may change is a field of the configuration and has its default here.
 */

const KiB = 1024
const MiB = 1024 * KiB

/** Block size: the default, and what is accepted (a power of two). 64 KiB makes an object 4 MiB. */
export const blockBytesDefault = 64 * KiB
export const blockBytesMin = 4 * KiB
export const blockBytesMax = 1 * MiB

/** Longest READ, in bytes: 256 pages of 4 KiB. Source: Linux fs/fuse/fuse_i.h, FUSE_MAX_MAX_PAGES (a sysctl in newer kernels). */
export const readBytesMax = 256 * 4 * KiB

/** Capacity when none is given. */
export const capacityBytesDefault = 10 * 1024 * MiB
/** At least this many objects fit, or the configuration is refused: below it, eviction would chase its own tail. */
export const capacityObjectsMin = 32
/** Kept back from capacity for extent trees, directories and the index: a share and a constant. */
export const keptBackShare = 0.01
export const keptBackBytes = 2 * MiB
/** Eviction starts over the high watermark and stops under the low one; shares of the usable capacity. */
export const highWatermarkDefault = 0.95
export const lowWatermarkDefault = 0.9
/** The share of the file system that stays free whatever the capacity says. */
export const freeShareMin = 0.05
/**
 * The index takes at most this share of capacity: scattered blocks have a record each. Eviction starts at the high and stops
 * at the low share of that budget; the rest is for pages that are free only after the next transaction.
 */
export const indexShareMax = 0.02
export const indexHighShare = 0.8
export const indexLowShare = 0.7

/** Threads that read /dev/fuse: four answered more requests a second than two or sixteen on two cores. */
export const sessionThreads = 4
/**
 * Requests in flight over fuse-native: each holds a thread, so misses beyond it keep hits waiting. Three quarters of them may be
 * what the kernel reads in the background. Must be what native-bindings/fuse2/loop.cc says.
 */
export const fuseNativeThreads = 64
export const fuseNativeBackgroundMax = 48
/** Longest READ over fuse-native, in bytes: 32 pages. Source: Linux fs/fuse/fuse_i.h, FUSE_DEFAULT_MAX_PAGES_PER_REQ. */
export const fuseNativeReadBytesMax = 32 * 4 * KiB
/** Longest path of a mountpoint, and longest options, in bytes: fuse-native cuts what is longer, and mounts elsewhere. */
export const fuseNativeTextBytesMax = 1023
/** Names that are remembered over fuse-native though nobody has them open. */
export const toldNamesMax = 65_536
/** How often a session of fuse-native is looked at: nothing says that it has ended. */
export const fuseNativeLookMs = 250
/** Threads that wait for the disk. */
export const storeThreads = 16

/** Bytes being fetched from origins at once. Sixty-four whole objects of the default size. */
export const fetchBytesMax = 256 * MiB
/** Bytes and entries that wait for promotion; over it, a miss is answered and not promoted. */
export const promotionBytesMax = 64 * MiB
export const promotionEntriesMax = 4096
/** Promotions that run at once: enough to keep an SSD busy. */
export const promotionConcurrency = 8
/** A batch of promotions is synced and recorded after this many bytes, runs of blocks or milliseconds, whichever comes first. */
export const batchBytesMax = 32 * MiB
export const batchEntriesMax = 256
export const batchMsMax = 200

/** How long a miss is waited for, unless the configuration says otherwise: as long as SCSI waits for a disk by default. */
export const missSecondsMax = 30
/** What a layer leaves to the one below it, so that whoever knows the reason of a failure is the one to say it. */
export const answerMarginMs = 500

/**
 * How long a new capacity waits until what is used fits, before it answers that it does not yet: ten thousand objects take
 * seconds; and how often it looks.
 */
export const fitMsMax = 60_000
export const fitLookMs = 10

/** One tick of the recency clock, in milliseconds. A u32 of ticks lasts 13 years of running. */
export const tickMs = 100
/** How often it is looked how late timers come. */
export const lagLookMs = 250
/** How often recency is saved. */
export const recencySaveMs = 60_000

/** How long an answer of the origin about names is taken as fresh. */
export const revalidateSecondsDefault = 60
/** How long a lookup or a listing waits for the origin before the index answers in its place. */
export const revalidateMsMax = 5_000

/** Origin requests in flight at once, per origin. */
export const originConcurrencyDefault = 64
/** Origins of one mount: their connections together stay below what a process may open by default. */
export const originsMax = 64
/** Calls that wait for their turn at one origin: as many as the kernel may have reads outstanding. */
export const originQueueMax = 65_535
/** Descriptors that a directory as origin keeps open: enough for the parents in use, far below RLIMIT_NOFILE. */
export const originDescriptorsMax = 128
/** The share of them that reads of one image may take: while they hang, a quarter is left for others. */
export const imageShareMax = 0.75
/** Deadlines of one origin request: connection, first byte, and a pause between bytes. */
export const connectMsMax = 5_000
export const firstByteMsMax = 10_000
export const stallMsMax = 10_000
/** Tries of one origin request, and the first and longest pause between them. */
export const originTriesMax = 3
export const retryMsMin = 100
export const retryMsMax = 2_000
/** Longest secret: servers take headers of 8 KiB at most by default, and most tokens are far shorter. */
export const secretBytesMax = 8 * KiB
/** How long a program may take to say one. */
export const secretCommandMsMax = 10_000
/** How long what a file said is taken as good; what a program said: the default, for a token of an hour. */
export const secretFileMs = 5_000
export const secretCommandRefreshMsDefault = 300_000
/** Pause between two readings because a server refuses what it was sent: refusals are not all about secrets. */
export const secretRenewMs = 5_000
/** The longest that a server may have us wait by Retry-After: less than what a miss is waited for. */
export const retryAfterMsMax = 10_000
/** Bytes that a body must bring within `stallMsMax`, or all that is left of it: less is a connection that is as good as dead. */
export const dripBytesMin = 4 * KiB
/** Tries that fail one after the other, with no answer in between, until an origin is taken for away. */
export const originFailuresMax = 5
/** The pause before an origin that is away is tried again: doubled after each try that failed. */
export const originProbeMsMin = 500
export const originProbeMsMax = 5_000
/** Tries under way while it is not sure that an origin is back, and answers in a row that make it sure. */
export const originTrialsMax = 4
export const originAnswersNeeded = 3
/** Calls for names under way at one origin: beside the reads, so that names do not wait for reads that hang. */
export const originNamesMax = 8
/**
 * A read is asked for a second time when it takes longer than this share of the latest ones of its size, but not before so many
 * are known, and not before so many milliseconds: below that there is nothing to gain.
 */
export const hedgeQuantile = 0.99
export const hedgeSamplesMin = 100
export const hedgeSamplesMax = 512
export const hedgeMsMin = 10
/** Second requests as a share of the first ones, and how many of them may come at once. */
export const hedgeShareMax = 0.05
export const hedgeBurstMax = 4
/** Redirects followed in one request. */
export const redirectsMax = 5
/** Bytes of a listing, and of one entry: a million names as nginx lists them, with dates. */
export const listingBytesMax = 128 * MiB
export const listingEntryBytesMax = 1 * MiB
/** Names that a listing shows, the first ones: 100 bytes of memory each. The others are found by name all the same. */
export const listingNamesMax = 1_000_000
/** Longest name of an image, in bytes: NAME_MAX of Linux. */
export const nameBytesMax = 255

/** How long the kernel may keep attributes without asking: a day, because an image never changes. */
export const attributeSecondsValid = 86_400
/** How long the kernel may keep a name without asking: short, so that a new version is found by the next lookup. */
export const nameSecondsValid = 1
/** Open directories: 64 bytes each until they are read. */
export const openDirectoriesMax = 65_536
/** Names in the listings of all open directories together, those that are shared once: two versions of a long one are 200 MiB. */
export const openDirectoryNamesMax = 2_000_000
/** Names in the listings of all origins that are in memory: those of others, not asked for as lately, are in the index. */
export const rememberedNamesMax = 2_000_000
/** Longest answer with names of a directory, in bytes: some milliseconds of work, though the kernel may take a megabyte. */
export const directoryPageBytesMax = 128 * KiB
/** How often requests that wait that long are looked at: was their reader killed? Of O_DIRECT the kernel does not tell. */
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
/** Lines about failed requests that may be logged per second; the rest are counted. */
export const failureLinesPerSecondMax = 10

/** How long a mount may take to answer a `statfs` before it counts as hung, also the one just made. */
export const mountAnswerMsMax = 10_000
/** How long the server may take from its start until everything but the mount is up: index and origin included. */
export const bootMsMax = 120_000
/** How long the server may take to stop once nothing is mounted; then it is killed. */
export const stopMsMax = 20_000
/** The server is asked whether it is there so many times in the time that a service manager's watchdog allows. */
export const pingsPerWatchdog = 4
/** How long fusermount3 may take. */
export const fusermountMsMax = 10_000
/** Bytes of a request to the admin socket, and of an answer that the command line accepts. */
export const adminRequestBytesMax = 64 * KiB
export const adminAnswerBytesMax = 64 * MiB
/** Longest path of a Unix socket. Source: Linux include/uapi/linux/un.h, sun_path has 108 bytes with the NUL. */
export const socketPathBytesMax = 107
/** Connections to the admin socket at once. */
export const adminConnectionsMax = 64
/** Connections to the metrics port at once: there are few who scrape, and everybody on the machine may connect. */
export const metricsConnectionsMax = 16
/** How long a text of metrics is what everybody gets who asks: they are scraped every few seconds, and one takes milliseconds. */
export const metricsFreshMs = 1_000
/** How long a request to the admin socket may take to arrive, and how long its answer is waited for. */
export const adminMsMax = 10_000
/** Threads of libuv's pool in the server: name look-ups and what little goes through node:fs; store I/O has its own. */
export const threadpoolThreads = 8
/** Room that is kept behind the end of the index for commits on a full disk: what ten batches add, and a small share of capacity. */
export const indexReserveBytesMax = 1 * MiB
export const indexReserveShare = 1 / 128
/** Of the index, this much is locked in memory: that of 2.8 TiB of whole objects, at 37 + 281 bytes each and half-filled pages. */
export const indexLockedBytesMax = 256 * MiB
/** How long a read waits for the cache disk before the origin is asked in its place. */
export const storeReadMsMax = 1_000
/** How often READs are looked for that have waited too long; part of `storeReadMsMax`, so that it holds. */
export const storeReadLookMs = 250
/** How long a write or a sync may take before the cache disk counts as stalled. */
export const storeWriteMsMax = 10_000
/** Failures within the window that end the healthy state: one may be a bad sector, three are a bad disk. */
export const healthFailuresMax = 3
export const healthFailuresWindowMs = 10_000
/** Good probes in a row that bring it back. */
export const healthProbesNeeded = 3
/** The pause between probes: doubled after each that failed. */
export const probeIntervalMsMin = 1_000
export const probeIntervalMsMax = 30_000
/**
 * How fast the scrub reads at most: 10 GiB take five minutes, a terabyte nine hours. It is 6 % of what the slowest SSD gives, and the
 * checksums of it take less than 1 % of a core.
 */
export const scrubBytesPerSecond = 32 * MiB
/** The most that the scrub reads while it holds the lock of an object: some milliseconds. */
export const scrubPieceBytesMax = 1 * MiB
/** What a piece counts at least: single blocks of 4 KiB are then 512 look-ups a second, not 8192. */
export const scrubPieceBytesMin = 64 * KiB
/** How long a round of the scrub takes, spread evenly: a disk that rots shows it in months, and each round reads all that is held. */
export const scrubIntervalMs = 7 * 86_400_000
/** The least that may be set, so that a small cache is not read without a pause. */
export const scrubIntervalMsMin = 10_000
/** The longest pause before the scrub looks when its next piece is due: what is held changes, and timers have 31 bits. */
export const scrubLookMsMax = 60_000
/** How often it looks whether readers are still busy, and how far behind it may fall for them, as a share of the interval. */
export const scrubBusyLookMs = 100
export const scrubBusyShareMax = 0.1
/** The pause before a data file that could not be made is tried again, and between two lines in the log about such files. */
export const fileRetryMs = 10_000
export const fileLineMsMin = 10_000
/** The pause after an eviction that failed: doubled after each that fails again. */
export const evictionRetryMsMin = 1_000
export const evictionRetryMsMax = 30_000 /**
 * What a small write to the index may take beyond its value until the disk is measured: a new page on each level of a tree
 * (three hold a million names), and one in the list of free pages.
 */
export const indexWriteBytes = 4 * 4 * KiB

/**
 * A version that is no name's version any more goes when the origin could have said so this many times, and it was not in use
 * for as long: an origin whose replicas name different versions in turn would otherwise cost all that is held each time.
 */
export const retireRevalidations = 10
/** That at least, whatever the pause between two questions. */
export const retireMsMin = 5_000
/** More of such versions than this go at once, oldest first: each holds a descriptor, of which a process often has 1024. */
export const namelessVersionsMax = 64
/** How often they are looked at. */
export const retireLookMs = 2_000

/** How often background work looks whether a sick disk is well again. */
export const sickLookMs = 1_000
/** How long copying a damaged index may take: it may have no end. */
export const salvageMsMax = 30_000
/** Longest file of digests that is read: SHA256SUMS of ten thousand images. */
export const digestFileBytesMax = 1 * MiB
/** The pause before an origin that could not be asked for a digest is asked again. */
export const digestRetryMs = 300_000
/** The pause after a start before digests that are not known yet are asked for: a restart asks nothing of the origin. */
export const digestStartMs = 60_000
/** Bytes hashed at once, on the thread of all requests: half a millisecond. */
export const hashPieceBytes = 256 * KiB
/** Longest configuration file: a thousand bytes for each of as many origins as there may be. */
export const configurationBytesMax = 64 * KiB
/** Levels of nesting in it: four are used. */
export const configurationDepthMax = 16
/** The share of the capacity that pinned images may take: the rest is for what is read. */
export const pinnedShareMax = 0.5
/** How often images that the kernel reads by itself are looked after, and how long one that it could not open is not offered. */
export const passthroughLookMs = 1_000
export const passthroughRetryMs = 3_000
/** Names that may be pinned: every pass of the eviction looks at each. */
export const pinsMax = 4096

/**
 * Pieces of images that are brought in on request at once, for all such requests together, and their size: enough for a distant
 * origin, little beside the turns of one. A reader who wants a block of a piece waits for all of it.
 */
export const promoteConcurrency = 8
export const promotePieceBytesMax = 1 * MiB
/** How long work on request pauses while readers wait for the origin, and while there is no room, in milliseconds. */
export const promotePauseMs = 50
/** How often a piece that found no room is tried again before the request fails: three seconds. */
export const promoteTriesMax = 60
/** Ranges in one request. */
export const promoteRangesMax = 1024
/** How often the objects of an image are gone over when it is evicted on request: those that are read come back in between. */
export const evictRoundsMax = 4
/** The longest read that is explained, in bytes: the longest that the kernel asks for. */
export const explainBytesMax = readBytesMax

/** How long a completion waits for daemons, and how many images of one it offers. */
export const completionMsMax = 1_000
/** How long it waits for each of them, so that a late one hides no other: half, for a question of names may follow. */
export const completionEachMsMax = completionMsMax / 2
export const completionNamesMax = 1_000
/** The shortest pause of `parentfs top`: each look costs the daemon a walk over everything it holds. */
export const topIntervalMsMin = 100
