/**
 * Limits of cli/commands/: each with its unit last and the reason or the sum that led to it.
 */

/** The time for which a completion waits for daemons, and the number of images of one that it offers. */
export const completionMsMax = 1_000

/**
 * The time for which it waits for each of them, so that a late one hides no other: half, because a question about names
 * may follow.
 */
export const completionEachMsMax = completionMsMax / 2

export const completionNamesMax = 1_000

/** The shortest pause of `parentfs top`: each look costs the daemon a walk over everything it holds. */
export const topIntervalMsMin = 100

/** The time for which `upgrade` waits: a whole boot, and the end of the worker before it. */
export const upgradeMsMax = 150_000

/** The time for which `profile record` runs a command: as long as a mount notes the reads after a cold open. */
export const recordMs = 120_000

/** The time in which a command that was ended has to go. */
export const recordKillMs = 5_000

/**
 * Requests to the origin at once while a profile is recorded. A quarter of them may be read-ahead: of three that is
 * none, so that nothing is noted but the reads of the command.
 */
export const recordRequests = 3

/** Capacity of the cache of a recording: four times the longest profile. */
export const recordCapacityBytes = 1024 ** 3

/** A random salt of `parentfs seal`: as veritysetup's. */
export const sealSaltBytes = 32

/** Output of a program that a command runs, in bytes: fio's report of a job has some 10 KiB. */
export const programOutputBytesMax = 1024 ** 2

/** Open files below which `doctor` warns: half a thousand images with their data files, and the connections. */
export const openFilesMin = 4096

/** Bytes that `doctor` writes and reads to measure a disk: a fraction of a second on an SSD. */
export const diskProbeBytes = 64 * 1024 ** 2

/** The time that each step of it may take: a disk that needs more is no place for a cache. */
export const diskProbeMsMax = 20_000

/** The time of a read of 4 KiB above which `doctor` calls a disk slow: SSDs take 0.1 ms, disks that turn 8 ms. */
export const smallReadMsMax = 2

/** The time that `doctor` gives an origin for all its questions: it asks some ten. */
export const doctorOriginMsMax = 30_000

/** Ranges that `doctor` reads, and the time of one above which it calls an origin far. */
export const originProbeReads = 9
export const originReadMsMax = 100

/** Answers to one question of `init` that may be wrong before it gives up. */
export const initAnswersMax = 5

/** The time of each job of `bench`: eight of them and the preparation take under a minute. */
export const benchJobSeconds = 5

/** Bytes of an image that `bench` reads, and of the file beside it. */
export const benchBytesMax = 256 * 1024 ** 2

/** Bytes of the log's end in a support bundle: some 20,000 lines. */
export const bundleLogBytesMax = 4 * 1024 ** 2

/** The time for each part of a support bundle: a daemon that hangs must not hold up the report about it. */
export const bundlePartMsMax = 10_000
