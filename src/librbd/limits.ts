/**
 * Limits of the librbd socket and the object view, each with the reason or the sum that led to it. The protocol has its
 * own in native-bindings/librbd/frames.h and answer-journal.h.
 */

/** Parents that are known at once: hosts have clones of some dozens. The one unused for longest leaves. */
export const parentsMax = 1024
/** Pause between two checks that the snapshots of known parents are there, and after a refusal. */
export const parentCheckMs = 30_000
/** Time without an ask after which a parent is let go. */
export const parentIdleMs = 3_600_000
/** Parents that are looked for at once: each keeps a thread of its cluster's connection busy. */
export const parentsSoughtAtOnce = 4
/** Time to find a parent. Its clients read from their cluster meanwhile. */
export const parentSearchMsMax = 30_000
/** Images whose objects the kernel may read: known parents, and those of an earlier worker. */
export const objectImagesMax = 2 * parentsMax
/** Time in which every ask is answered READ_RADOS, so that reads by path end. */
export const retreatMs = 250
/** Time in which nothing is sent before connections are closed: librbd aborts when it is closed on under load. */
export const silenceMs = 250
/** Time for which the kernel takes the path that stands for absent objects as absent. */
export const absentPathMs = 3_600_000
/** The time for which the kernel keeps an object's name: a day, because the name is the node id. */
export const objectNameSecondsValid = 86_400
