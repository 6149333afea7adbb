/**
 * Limits of fleet/group/: each with its unit last and the reason or the sum that led to it.
 */

/** Members of a group: engines and ranks were tried with as many. */
export const membersMax = 1_000

/** Members of a registry's list: the first of them by their ids are the group, the same for all hosts. */
export const membersListedMax = 2 * membersMax

/** Ranks of a unit that are computed: as many members may hold copies of a hot unit. */
export const ranksMax = 64

/** Units whose ranks are remembered: 64 GiB of images, some 40 MiB of references in a group of a thousand. */
export const rankedUnitsMax = 65_536

/** A member that vanished keeps its ranks for so long: a reboot moves no unit. */
export const vanishedMsMax = 5 * 60_000

/** A member that joined less than this ago asks the former owner before the origin. */
export const joiningMs = 10 * 60_000

/** Weights that are believed, in TiB: more would let one member own the group. */
export const weightMin = 1 / 1024 ** 2

export const weightMax = 1_024
