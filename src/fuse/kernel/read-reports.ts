/**
 * Reports of READs that session threads dealt with by themselves: the side channel of a session, beside its requests.
 *
 * This file alone reads their format, and native-bindings/session/read-reports.h alone writes it. A report is a record
 * of 32 bytes, little-endian: kind u32 | length u32 | handle u64 | offset u64 | microseconds u64.
 */
import type { Logger } from '../../base/logger.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { reportDelayMs, reportsTogetherMax } from './limits.ts'
import { RequestReader } from './request-reader.ts'

/** Takes what reports say; a handle may have been closed since. */
export interface ReadReportListener {
  /** A range of the read-ahead buffer is read, answered from there or not. */
  bufferTouched(handle: bigint, offset: number, length: number): void
  /** A READ waits for bytes of the origin. */
  originReadBegun(handle: bigint, offset: number, length: number): void
  /** It was answered `ms` milliseconds after it came. */
  originReadDone(handle: bigint, length: number, ms: number): void
}

/** Passes one report on. */
export type ReadReport = (listener: ReadReportListener) => void

const kinds = { bufferTouched: 1, originReadBegun: 2, originReadDone: 3, originRead: 4 } as const

/**
 * The reports of a batch, in order.
 * @throws FsError malformed, at the first that is none
 */
export function* reportsOf(batch: Uint8Array): Generator<ReadReport> {
  const reader = new RequestReader(batch)
  while (reader.remaining > 0) {
    const kind = reader.u32()
    const length = reader.u32()
    const handle = reader.u64()
    const offset = Number(reader.u64())
    const ms = Number(reader.u64()) / 1000
    if (!Number.isSafeInteger(offset + length)) throw new FsError('malformed', `a report of a READ at ${offset}`)
    if (kind === kinds.bufferTouched) {
      yield listener => listener.bufferTouched(handle, offset, length)
    } else if (kind === kinds.originReadBegun) {
      yield listener => listener.originReadBegun(handle, offset, length)
    } else if (kind === kinds.originRead) {
      yield listener => {
        listener.originReadBegun(handle, offset, length)
        listener.originReadDone(handle, length, ms)
      }
    } else if (kind === kinds.originReadDone) {
      yield listener => listener.originReadDone(handle, length, ms)
    } else throw new FsError('malformed', `a report of the kind ${kind}`)
  }
}

export interface ReadReportsContext {
  /** The reports since the last ones: see Session.takeReports. */
  take(): Uint8Array
  /** Does work behind the requests that have come, or not at all once the session is over. */
  afterRequests(work: () => void): void
  /** Hears each report in its order. */
  readonly listener: ReadReportListener
  readonly logger: Logger
}

/** Passes reports of a session on, a few in a turn. */
export class ReadReports {
  readonly #parts: ReadReportsContext

  constructor(parts: ReadReportsContext) {
    this.#parts = parts
  }

  /**
   * A batch as Session hands it over; null: there are some that may wait. Only a bug makes one that is malformed, and
   * no READ waits for it.
   */
  accept(batch: Uint8Array | null): void {
    const { take, logger } = this.#parts
    if (batch === null) {
      setTimeout(() => this.accept(take()), reportDelayMs).unref()
      return
    }
    let together: ReadReport[] = []
    try {
      for (const report of reportsOf(batch)) {
        if (together.push(report) < reportsTogetherMax) continue
        this.#tell(together)
        together = []
      }
    } catch (err) {
      logger.error({ err, bytes: batch.length }, 'a batch of read reports is malformed: the rest of it is dropped')
    }
    if (together.length > 0) this.#tell(together)
  }

  #tell(reports: readonly ReadReport[]): void {
    const { afterRequests, listener } = this.#parts
    afterRequests(() => {
      for (const report of reports) report(listener)
    })
  }
}
