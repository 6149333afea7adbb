/**
 * Front of the serving port: native threads on the connections of other hosts, as native-bindings/serving/front.h
 * defines them. Each request comes through a link, a Unix socket; resident bytes of images are sent natively.
 */
import type { StoreFile } from './addon.ts'

export interface ServingFrontLimits {
  readonly threads: number
  readonly headBytesMax: number
  readonly handshakeMsMax: number
  /** From the first byte of a head to its last. */
  readonly headMsMax: number
  readonly idleMsMax: number
  /** The time for which a client may take nothing. */
  readonly takeMsMax: number
  /** Offered objects. */
  readonly objectsMax: number
  /** Members whose bytes are counted one by one. */
  readonly membersMax: number
}

/** The answer to a request, for further ones that differ from it in range, rank and hops alone. */
export interface ServingPermit {
  /** {@link ServingFront.revoke} had been called so often when the decision began. */
  readonly revocations: number
  /** The time for which it holds. */
  readonly ms: number
  readonly file: StoreFile
  /** Lines of the head, each with its end, but for length, range and checksums. */
  readonly head: string
  /** Ranges are whole blocks of one object, and their checksums are told. */
  readonly isSummed: boolean
  readonly rangeBytesMax: number
  /** The member that is sent the bytes; null: nobody who is counted. */
  readonly member: string | null
}

/**
 * Events of a connection:
 * - `link`: its first request is in the socket `value`, which is the listener's; with the client's certificate as DER,
 * where it is one of the authorities'
 * - `sent`: `value` bytes of what {@link ServingFront.send} has ordered; fewer than ordered: the next are not resident
 * - `closed`: it is no more
 */
export type ServingFrontEvent = 'link' | 'sent' | 'closed'

export type ServingFrontListener = (
  event: ServingFrontEvent,
  connection: number,
  value: number,
  certificate: Uint8Array | null,
) => void

export interface ServingFront {
  /**
   * The certificates and the key that TLS connections are answered with from now on, as PEM.
   * @param authorities of clients; empty: clients are not asked for certificates
   * @returns false where this process has no OpenSSL that takes them; nothing has changed then
   */
  identity(certificates: string, key: string, authorities: string): boolean
  /** Serve a connected socket. `fd` is duplicated and stays the caller's. @returns its number. Throws a SystemError. */
  adopt(fd: number, isTls: boolean): number
  /** Send a part of a file, after so many bytes of the connection's link. One at a time. */
  send(connection: number, after: number, file: StoreFile, offset: number, length: number): void
  /** Its request is answered once so many bytes of its link went to the client: the next one may come. */
  resume(connection: number, after: number): void
  /** End it; an answer by permit goes to its end first. Idempotent. */
  drop(connection: number): void
  /** End connections without a request. */
  dropIdle(): void
  /** Bytes of images since the start. */
  sentBytes(): number
  /** For requests like the one that the connection has here now. */
  permit(connection: number, permit: ServingPermit): void
  /**
   * Permits cover this object, until its generation moves, and so long at most.
   * @param known blocks with a checksum. @param sums 64 of four bytes, of the blocks in `known`
   */
  offer(file: StoreFile, object: number, known: bigint, sums: Uint8Array, ms: number): void
  /** All permits whose decision began before end. @returns how often it was called */
  revoke(): number
  setRate(bytesPerSecond: number): void
  /** Bytes that are sent from here have their turn, as those by permit. @returns milliseconds to wait */
  book(bytes: number): number
  /** Milliseconds until the turns of all booked bytes are over; below 0: they are. */
  behindMs(): number
  /** Answers by permit, whole ones, and their bytes. */
  permitted(): { readonly answers: number; readonly bytes: number }
  /** Of these bytes, those of a member. */
  permittedTo(member: string): number
  /** End all. Idempotent. */
  close(): void
}
