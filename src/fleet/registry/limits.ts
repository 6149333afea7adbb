/**
 * Limits of fleet/registry/: each with its unit last and the reason or the sum that led to it.
 */

/** The lease of a member, and the time between two renewals: two may fail. */
export const leaseMs = 10_000

export const renewMs = 3_300

/** The pause before a registry is asked again, whatever ended: a random time of this stretch. */
export const againMsMin = 300

export const againMsMax = 700

/** Time-out of one request to a registry: two that no server answers fit between a renewal and the lease's end. */
export const registryRequestMsMax = 2_500

/** Longest answer of a registry: a thousand members of a kilobyte, in base64, with room. */
export const registryAnswerBytesMax = 8 * 1024 ** 2

/** Longest record of a member. */
export const recordBytesMax = 4_096

/** The time after which DNS names are resolved again. */
export const resolveMs = 30_000

/** The time between two looks at a RADOS object, and without an advance of its counter until a member is gone. */
export const radosPollMs = 5_000

export const radosGoneMs = 15_000

/** The age at which another host removes the entry of one that is gone: far longer than any stall. */
export const radosForgottenMs = 60 * 60_000

/** A watch is taken for dead when nothing came for so long: a progress notice comes every ten minutes at the least. */
export const watchSilentMsMax = 15 * 60_000
