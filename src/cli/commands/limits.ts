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
