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
  /** End it. Idempotent. */
  drop(connection: number): void
  /** End connections without a request. */
  dropIdle(): void
  /** Bytes of images since the start. */
  sentBytes(): number
  /** End all. Idempotent. */
  close(): void
}
