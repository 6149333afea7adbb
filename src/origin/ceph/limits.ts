/**
 * Limits of what is asked of a Ceph cluster, each with the reason or the sum that led to it.
 */

const MiB = 1024 * 1024

/** Threads of one connection to a Ceph cluster for calls that block: as many may hang before the next one waits. */
export const cephThreads = 4
/** Calls that may wait for them, and reads that may wait to be sent: far more than an origin lets through at once. */
export const cephCallsWaitingMax = 4096
/** The time that the end of a connection is waited for; then its threads end it without us. */
export const cephCloseMsMax = 3_000
/** Images that a listing asks about at once: the quick questions share no thread. */
export const rbdDescribedAtOnce = 16
/**
 * The part of an image whose holes are asked for at once: without an object map each of its objects is asked, 512 of
 * them; with one, two bits an object are looked at. And the pause after it failed.
 */
export const rbdRegionBytes = 2048 * MiB
export const rbdRegionBytesMapped = 1024 * 1024 * MiB
export const rbdHolesRetryMs = 10_000

/** Objects of a parent at most: node ids of the object view have 28 bits for their numbers. */
export const parentObjectsMax = 2 ** 28

/** The time that a notice waits for those who watch: one that is stopped would make it wait for ever. */
export const notifyMsMax = 1_000
