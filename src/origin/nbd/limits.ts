/**
 * Limits of what is asked of an NBD server, each with the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/** Registered port of NBD. Source: IANA, Service Name and Transport Protocol Port Number Registry, nbd. */
export const nbdPortDefault = 10_809

/** Longest time of one call where nothing else is said: a third of a miss's, as several tries have to fit into it. */
export const nbdCallMsDefault = 10_000

/**
 * Bytes asked for in one request: the answer to one does not keep those behind it waiting for long, and 28 bytes of
 * request are nothing beside it.
 */
export const nbdRequestBytesMax = 2 * MiB

/**
 * Block sizes of a server that names none. Source: the NBD protocol, "Block size constraints": a client that knows
 * nothing should take 512 bytes as the smallest and 32 MiB as the largest.
 */
export const nbdBlockBytesDefault = { min: 512, max: 32 * MiB } as const

/** Largest smallest block. Source: likewise, 2^16. */
export const nbdMinBlockBytesMax = 64 * KiB

/** Connections to one export, where its server allows several: four carried 1.3 GiB/s, more brought nothing. */
export const nbdConnectionsMax = 4

/** Requests under way on each connection before another one is opened. */
export const nbdRequestsBeforeNext = 4

/** The time after which unused connections of an export are closed: servers have a thread for each. */
export const nbdIdleMs = 60_000

/**
 * Requests on one connection whose readers have left, and whose answers are still to come. With more of them the
 * connection is given up: an answer takes at most as long as a new connection.
 */
export const nbdAbandonedMax = 256

/** Pieces of one answer: 2 MiB in blocks of 512 bytes. */
export const nbdChunksMax = 4_096

/** Longest text: a name, a description, a message. Source: the NBD protocol, "Conventions", strings. */
export const nbdStringBytesMax = 4 * KiB

/** Longest reply to an option: two texts, and their lengths. */
export const nbdOptionReplyBytesMax = 2 * nbdStringBytesMax + 64

/** Replies to one option, but for names in a listing: a server sends some ten facts about an export. */
export const nbdOptionRepliesMax = 256

/** Bytes of a handshake that nothing has asked for yet: one buffer of a socket. */
export const nbdUnaskedBytesMax = 256 * KiB

/** Bytes that a connection receives at once. */
export const nbdReceiveBytes = 256 * KiB

/** Range whose holes are asked for at once, and the stretches that are kept of the answer. */
export const nbdStatusBytes = 1024 * MiB

export const nbdStretchesMax = 4_096

/** Longest answer about holes: a million stretches, which is what nbdkit sends at most. */
export const nbdStatusReplyBytesMax = 8 * MiB + 4

/** Longest file with a certificate, a key or pre-shared keys. */
export const nbdTlsFileBytesMax = 1 * MiB

/** Longest path of a Unix socket. Source: unix(7), 108 bytes with the NUL. */
export const nbdSocketPathBytesMax = 107

/** Pause after a further connection of an export failed: a server may take few clients. */
export const nbdFurtherMs = 10_000
