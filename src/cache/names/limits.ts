/** The limits of what is known of images and names, each with the reason or the sum that led to it. */

/**
 * Known images at once, each with a name or two, a record in the index and perhaps a node: 16,384 of 5 KiB are 80 MiB.
 * An origin that takes any spelling of a name would give more than that for the asking.
 */
export const knownImagesMax = 16_384
/**
 * The time for which a name is absent without being asked for again, by us and by the kernel together: as short as a
 * name is kept that means something, so that a new image is seen soon. And the number of such names, at 200 bytes each:
 * a name has 255 at most.
 */
export const absentMsMax = 1_000
export const absentNamesMax = 16_384
/**
 * Images that are forgotten at once when there are more: some tens of milliseconds, and then as many lookups need not
 * wait.
 */
export const forgottenAtOnceMax = 256
/** Images let go in one turn of the event loop, and those looked at: a millisecond or two. */
export const forgottenPerTurnMax = 16
export const forgetLooksPerTurnMax = 1024
/** Times that the kernel is asked whether it has forgotten, and the pause before each. */
export const forgetLooksMax = 3
export const forgetLookMs = 10
/** The pause before it is tried again after none could go. */
export const forgetRetryMs = 1_000

/** The time that a lookup or a listing waits for the origin before the index answers in its place. */
export const revalidateMsMax = 5_000

/**
 * Names in the listings of all origins in memory: those of origins that were not asked for as lately are in the index.
 */
export const rememberedNamesMax = 2_000_000

/**
 * A superseded version goes when the origin could have named it this many times, and it was not in use for as long:
 * otherwise an origin whose replicas name different versions in turn would cost all its blocks each time.
 */
export const retireRevalidations = 10

/** The time before a superseded version goes at least, whatever the pause between two questions. */
export const retireMsMin = 5_000

/**
 * More superseded versions than this go at once, oldest first: each holds a descriptor, of which a process often has
 * 1024.
 */
export const supersededVersionsMax = 64

/** Names in doubt are asked for again so soon after an origin that did not answer: its return is noticed soon. */
export const doubtfulMsMax = 10_000

/** The interval at which superseded versions and names in doubt are looked at. */
export const retireLookMs = 2_000
