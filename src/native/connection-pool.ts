/**
 * Connection pool: connections to one web server on which native threads read ranges of its images by themselves. They
 * come from the range receiver, dialled and with TLS agreed on. See native-bindings/http/connection-pool.h.
 */
import type { OriginReader } from './origin-reader.ts'

/** Exchanges since the last question: that found no idle connection, and whose answer could not be used. */
export interface ConnectionPoolNews {
  readonly starved: number
  readonly failed: number
}

export interface ConnectionPool {
  /** Take over an idle connection that the receiver has forgotten. Throws a SystemError where it is lost. */
  add(connection: number): void
  /**
   * A reader of one version of an image. It serves ranges of exactly that version, and is over with any other answer.
   * @param request the request line and all headers but Range, without the empty line
   * @param etag the value that has to come back; null: none is compared
   * @param lastModified likewise; one of the two is to be given
   * @param ms the time for which the request may be sent; less than 2^32
   */
  reader(
    request: Uint8Array,
    sizeBytes: number,
    etag: Uint8Array | null,
    lastModified: Uint8Array | null,
    ms: number,
  ): OriginReader
  /** Did the server answer a reader of this pool otherwise? */
  isOver(reader: OriginReader): boolean
  news(): ConnectionPoolNews
  /** Connections, idle or not. */
  size(): number
  /** End connections that were idle for so long, and exchanges that have taken so long. */
  expire(idleMs: number, exchangeMs: number): void
  /** End all: its readers read nothing any more. Idempotent. */
  close(): void
}
