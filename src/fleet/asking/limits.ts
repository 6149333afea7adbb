/**
 * Limits of fleet/asking/: each with its unit last and the reason or the sum that led to it.
 */

/** Silent members that one read waits for: together they take the patience, and then the origin is asked. */
export const silentMembersMax = 2

/** Members that one read asks in vain, busy ones left out, before the origin is asked. */
export const failedMembersMax = 4

/** Members whose part the next rank has, because they do not bring: all may be so, beside a new version. */
export const absentMembersMax = 2

/** A body that brings fewer bytes in this time is broken off: the next member goes on where it stopped. */
export const memberStallMsMax = 250

export const memberStallBytesMin = 64 * 1024

/** Requests to one member under way: more are refused here, as it would refuse them. */
export const memberRequestsMax = 32

/** Longest try to connect to a member. Its request has been given up long before, and other tries wait for its end. */
export const memberConnectMsMax = 2_000

/** A member that failed is passed by: the first time, doubled at each further failure up to the longest. */
export const passedByMsMin = 1_000

export const passedByMsMax = 60_000

/** Requests in a row that a member keeps waiting until their reads go to the origin: then it has failed. */
export const lateAnswersMax = 3

/** Images whose number of replicas is remembered, and for how long. */
export const replicaImagesMax = 1_024

export const replicasMs = 60_000

/** The pause of a read that all its members have refused. */
export const refusedMsMin = 5

export const refusedMsMax = 25

/** Longest that a read waits for members that are busy or bringing, and the time in which any of them has to answer. */
export const waitMsMax = 5_000

export const groupMovesMs = 1_000

/** A second request goes out after so many times the slow ones of a member, or after this time. */
export const hedgeFactor = 3

export const memberHedgeMsMin = 100

/** Second requests that are saved up. */
export const hedgeSavedMax = 4

/** Samples of a member or the origin, until its time is predicted. */
export const samplesMin = 8

export const samplesMax = 64

/** The origin is taken for the sooner one when a member takes so many times as long. */
export const soonerFactor = 1.5

/** One in so many second-hand blocks is compared with the origin. */
export const auditOneIn = 256

/** Blocks that wait for their audit; the time between two, and for one. */
export const auditsMax = 64

export const auditEveryMs = 1_000

export const auditMsMax = 10_000

/** Units that are remembered as second-hand, of all members together: 256 GiB. */
export const secondHandUnitsMax = 262_144

/** Units whose last answers are remembered, for explanations. */
export const answersMax = 4_096

/** Longest answer that is no bytes of an image. */
export const memberAnswerBytesMax = 64 * 1024

/** Longest wait for a profile of the group at a cold open. */
export const profileMsMax = 50

/** Longest wait for a member to take a profile, or a promotion. */
export const pushMsMax = 5_000

/** Profiles that wait to be pushed: some MiB at most. */
export const pushesMax = 32

/** Ranks of an image's name that keep its profile. */
export const profileRanks = 3

/** Members that promote at once for one operator; the others wait. */
export const promotedAtOnceMax = 64

/** The time between two looks at a member that promotes, and its silence until it is gone around. */
export const promotionAskMs = 500

export const promotionLostMsMax = 15_000

/** Members that are asked at once how much they hold, and the time for all of them. */
export const membersAskedMax = 64

export const holdingMsMax = 3_000

/** Tries to get blocks of a member for a comparison: it is busy, or slow. Their pauses are 5 s together. */
export const compareTriesMax = 5

/** Bytes of permits of all open images, a bit a unit: 64 TiB in units of 1 MiB. */
export const permitBytesMax = 8 * 1024 ** 2

/** The time between two looks whether permits are those of the view: vanished members and joining end by the clock. */
export const permitsEveryMs = 1_000

/** Answers of former owners that are remembered, in bytes: of a thousand members for some images of 10 GiB. */
export const formerOwnerUnitsBytesMax = 8 * 1024 ** 2

/** Members that are asked for bytes of an origin which does not answer here, and the time for each. */
export const relayedMembersMax = 8

export const relayMsMax = 3_000

/** The time after which the next member is asked beside one that has not answered, and how many are asked at once. */
export const relayNextMs = 500

export const relayedAtOnceMax = 2

/** An origin that has said nothing for so long is asked through members, too; the time between two looks at that. */
export const originSilentMs = 3_000

export const originLookMs = 250

/** The interval at which an origin that is read through members is asked itself, and the time for that. */
export const originProbeMs = 5_000
