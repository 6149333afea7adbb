/**
 * Range receiver: a thread of the addon that receives bodies of ranges straight into the reader's memory. It works on
 * connections that are handed to it, one request at a time on each. See native-bindings/http/range-receiver.h.
 */
import type { ConnectionPool } from './connection-pool.ts'

/**
 * Events of a connection:
 * - `ready`: the TLS handshake is done, and the server is the expected one: it may be asked
 * - `refused`: the TLS handshake failed; the connection is no more
 * - `head`: an answer whose body is on its way, reported when that takes long; `head` is its head
 * - `progress`: more of the body has come, reported now and then
 * - `whole`: all of the body is in its place; with its head, where that was not reported
 * - `other`: an answer that is no range of the asked length, and its head; the connection is no more
 * - `lost`: it has ended (0), was broken (an errno), or sent bytes that were not asked for (EPROTO); with the bytes of
 * a head so far, where that was not reported
 */
export type ReceiverEvent = 'ready' | 'refused' | 'head' | 'progress' | 'whole' | 'other' | 'lost'

/** @param value an errno where the connection is lost, else the bytes of the body since the last event */
export type ReceiverListener = (event: ReceiverEvent, value: number, head: Uint8Array | null) => void

export interface RangeReceiver {
  /**
   * Register a trust: the authorities that connections in TLS believe. The same trust has the same number again.
   * @param certificates of authorities, as PEM
   * @param ciphers up to TLS 1.2, as OpenSSL writes such lists
   * @returns null where this process has no OpenSSL that the addon knows
   */
  trust(certificates: string, ciphers: string): number | null
  /**
   * Receive on a socket that is connected to a web server, without TLS. `fd` is duplicated and stays the caller's.
   * Throws a SystemError.
   * @returns the connection's id
   */
  adopt(fd: number, onEvent: ReceiverListener): number
  /**
   * The same with TLS, which is agreed on before anything is asked: `ready`, `refused` or `lost` says what came of it.
   * @param trust a number that {@link trust} has given
   * @param host the name or address that the server's certificate has to have
   */
  adoptTls(fd: number, trust: number, host: string, onEvent: ReceiverListener): number
  /**
   * Send `request`, whole, and receive the body of its answer, which is to be as long as `target`, into that. Throws
   * ENOTCONN where the connection is lost, EBUSY where it has a request or is not ready, and other SystemErrors where
   * it breaks.
   */
  ask(connection: number, request: Uint8Array, target: Uint8Array): void
  /** End a connection: when it returns, nothing is written to its target any more, and nothing is told. Idempotent. */
  drop(connection: number): void
  /** Tell nothing more of a connection, which goes on and is given to a pool. */
  forget(connection: number): void
  /** A pool of one server, for connections that native threads use by themselves. */
  createPool(): ConnectionPool
  /** End all. Idempotent. */
  close(): void
}
