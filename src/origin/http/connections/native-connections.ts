/**
 * Native connections: connections to one host on which native threads repeat requests for ranges. They are dialled
 * here, one where there are none and then as many as were missing, and end when they were idle for a while.
 */
import type { ConnectionPool } from '../../../native/connection-pool.ts'
import type { OriginReader } from '../../../native/origin-reader.ts'
import type { AnsweredVersion, NativeHost } from '../protocol/http-body.ts'
import type { NativeRangeConnection } from './native-range-connection.ts'

export interface NativeConnectionsLimits {
  readonly connectionsMax: number
  readonly idleMsMax: number
  /** An exchange that takes longer is given up. */
  readonly exchangeMsMax: number
}

/** Pause between two looks for connections that are idle or hang: a small part of the times that they may be that. */
const lookMs = 1000

/** The longest that a request is repeated: a day. */
const repeatMsMax = 86_400_000

export class NativeConnections implements NativeHost {
  readonly #pool: ConnectionPool
  readonly #dial: () => NativeRangeConnection
  readonly #limits: NativeConnectionsLimits
  readonly #onFailed: (count: number) => void
  readonly #dialing = new Set<NativeRangeConnection>()
  #timer: NodeJS.Timeout | null = null
  #isClosed = false

  /** @param onFailed hears how many exchanges failed */
  constructor(
    pool: ConnectionPool,
    dial: () => NativeRangeConnection,
    limits: NativeConnectionsLimits,
    onFailed: (count: number) => void,
  ) {
    this.#pool = pool
    this.#dial = dial
    this.#limits = limits
    this.#onFailed = onFailed
  }

  reader(text: string, { sizeBytes, etag, lastModified }: AnsweredVersion, ms: number): OriginReader {
    const request = Buffer.from(text, 'latin1')
    return this.#pool.reader(
      request,
      sizeBytes,
      bytesOf(etag),
      bytesOf(lastModified),
      Math.min(Math.floor(ms), repeatMsMax),
    )
  }

  isOver(reader: OriginReader): boolean {
    return this.#pool.isOver(reader)
  }

  connect(): void {
    if (this.#isClosed) return
    const starved = this.#starved()
    const open = this.#pool.size() + this.#dialing.size
    const wanted = Math.max(starved, open === 0 ? 1 : 0)
    // Errors are of no use: where no connection can be had, TypeScript reads, and finds out.
    for (let k = 0; k < wanted && open + k < this.#limits.connectionsMax; k++) void this.#add().catch(() => {})
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true
    if (this.#timer) clearTimeout(this.#timer)
    for (const connection of this.#dialing) connection.destroy(null)
    this.#pool.close()
    this.#starved()
  }

  /** Exchanges that found no connection lately. */
  #starved(): number {
    const { starved, failed } = this.#pool.news()
    if (failed > 0) this.#onFailed(failed)
    return starved
  }

  async #add(): Promise<void> {
    const connection = this.#dial()
    this.#dialing.add(connection)
    try {
      await connection.ready
      const id = connection.release()
      if (id !== null) this.#pool.add(id)
      this.#look()
    } finally {
      this.#dialing.delete(connection)
    }
  }

  /** End those that are idle or hang, as long as there are any. */
  #look(): void {
    if (this.#timer || this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#pool.expire(this.#limits.idleMsMax, this.#limits.exchangeMsMax)
      if (this.#pool.size() > 0) this.#look()
      else this.#starved()
    }, lookMs)
    this.#timer.unref()
  }
}

function bytesOf(value: string | null): Uint8Array | null {
  return value === null ? null : Buffer.from(value, 'latin1')
}
