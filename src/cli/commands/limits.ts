/**
 * Limits of cli/commands/: each with its unit last and the reason or the sum that led to it.
 */

/** How long a completion waits for daemons, and how many images of one it offers. */
export const completionMsMax = 1_000

/** How long it waits for each of them, so that a late one hides no other: half, for a question of names may follow. */
export const completionEachMsMax = completionMsMax / 2

export const completionNamesMax = 1_000

/** The shortest pause of `parentfs top`: each look costs the daemon a walk over everything it holds. */
export const topIntervalMsMin = 100

/** How long `upgrade` waits: as long as a boot may take, and the end of the worker before it. */
export const upgradeMsMax = 150_000
