/**
 * Limits of fleet/server/: each with its unit last and the reason or the sum that led to it.
 */

import { KiB, MiB } from '../../base/limits.ts'
import { membersMax } from '../group/limits.ts'

/** Connections to the serving port: a group of a thousand members, and as many others. */
export const servedConnectionsMax = 2048

/** Connections of one address: another parentfs has 64 for reads, some for names, and as many again at a reload. */
export const addressConnectionsMax = 160

/** Requests of one address that are being answered; those over it are answered 503. */
export const addressRequestsMax = 128

/** Threads that send resident bytes: one sends some GB a second. */
export const servingThreads = 2

/** Longest and shortest part that is ordered from these threads at once; between them what 50 ms of the rate give. */
export const sentPartBytesMax = 4 * MiB

export const sentPartBytesMin = 256 * KiB

/** Longest head of a request, its names percent-encoded. */
export const requestHeadBytesMax = 8 * KiB

/** Requests of one connection that wait behind the one that is being answered; the connection ends at more. */
export const pipelinedMax = 16

/** The time for a TLS handshake, for a head to arrive whole, and for a body of a profile. */
export const handshakeMsMax = 5_000

export const headMsMax = 10_000

export const requestMsMax = 20_000

/** The time that a connection may be idle between requests. */
export const idleMsMax = 75_000

/** The time for which a client may take nothing of an answer. */
export const takeMsMax = 20_000

/** Bytes that are read and sent at once: a client that takes nothing holds one piece of memory. */
export const pieceBytes = 256 * KiB

/** Memory of all pieces that are being sent: the clients of a full budget wait in turns by address. */
export const sendingBytesMax = 64 * MiB

/** Requests that wait for bytes of an origin, for all other hosts together: local readers have the other turns. */
export const fillsMax = 32

/** The wait at the serving rate from which on a member is told to ask another. */
export const busyMsMax = 50

/** The time after which a member hears that its bytes are being brought. */
export const processingMs = 20

/** Bytes a second where the network card does not say what it has: half of 10 Gbit/s would be 625 MB/s. */
export const serveRateDefault = 512 * MiB

/** Profiles that other hosts have left here, and their bytes. */
export const keptProfilesMax = 1024

export const keptProfileBytesMax = 16 * MiB

/** The interval of tries to have the address when another process has it. */
export const listenRetryMs = 1_000

/** The time that answers under way have at a stop. */
export const drainMsMax = 2_000

/** Failures of one cause are logged once in this time. */
export const logPauseMs = 60_000

/** Members whose bytes are counted one by one: all of a group. */
export const sentMembersMax = membersMax

/** Promotions for the group under way, and their outcomes that are kept. */
export const promotionsMax = 16

/** A promotion that nobody has asked about for so long ends: whoever wanted it is gone. */
export const promotionLeaseMs = 20_000

/** The time for which a decision about a request holds for others like it: a token that has changed is seen then. */
export const permitMsMax = 1_000

/** Objects that native threads may send by themselves: 64 GiB at the usual block size, 5 MB of checksums. */
export const offeredObjectsMax = 16_384

/** The time for which an object is offered. One that only other hosts read: its last use is noted at each offer. */
export const offerMsMax = 60_000

export const foreignOfferMsMax = 1_000
