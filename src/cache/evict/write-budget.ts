/**
 * Write budget: bytes that may be written to the cache disk a day, with a burst after quiet times. Over it promotion
 * gives way, and reads do not.
 *
 * It is saved with the count of all bytes written, and outlives restarts: a crash forgives a sixteenth of the burst, or
 * a minute. The time between two processes counts, as it does for the disk.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import type { Logger } from '../../base/logger.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import { writeSaveMs, writeSaveShare } from './limits.ts'

const dayMs = 86_400_000
const recordName = 'written'

export interface WriteBudgetOptions {
  /** 0: no limit. */
  readonly bytesPerDay: number
  readonly burstBytes: number
}

/** As the index keeps it. */
interface WrittenRecord {
  readonly totalBytes: number
  /** Null: there was no limit. */
  readonly leftBytes: number | null
  /** Since 1970. */
  readonly savedMs: number
}

export interface WriteBudgetContext {
  readonly index: Pick<IndexDatabase, 'counters' | 'putCounters'>
  readonly logger: Logger
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
}

/** Bytes of blocks that were written to data files; the records of the index come on top. */
export interface WrittenStatus {
  /** Since the daemon started, and since the cache was made. */
  readonly bytes: number
  readonly totalBytes: number
  /** Bytes that may be written now; null: there is no limit. */
  readonly leftBytes: number | null
}

export class WriteBudget {
  readonly #parts: WriteBudgetContext
  readonly #saves: PeriodicTask
  #options: WriteBudgetOptions
  #bytes = 0
  #earlierBytes: number
  /** INVARIANT: at most the burst. Below 0 after writes that were not asked for, like repairs. */
  #leftBytes: number
  /** Bytes on their way that were let in. */
  #pendingBytes = 0
  #refilledMs: number
  #unsavedBytes = 0
  #saving: Promise<void> | null = null

  constructor(options: WriteBudgetOptions, parts: WriteBudgetContext) {
    this.#parts = parts
    this.#options = options
    const saved = parts.index.counters<WrittenRecord>(recordName)
    this.#earlierBytes = saved?.totalBytes ?? 0
    this.#leftBytes = saved?.leftBytes ?? options.burstBytes
    this.#refilledMs = saved?.savedMs ?? parts.wallMs()
    this.#saves = new PeriodicTask(writeSaveMs, () => this.#saveIfSpent(1))
    this.#saves.start()
  }

  get status(): WrittenStatus {
    this.#refill()
    const leftBytes = this.#options.bytesPerDay > 0 ? Math.floor(this.#leftBytes) : null
    return { bytes: this.#bytes, totalBytes: this.#earlierBytes + this.#bytes, leftBytes }
  }

  change(options: WriteBudgetOptions): void {
    this.#refill()
    // What was never limited has its burst.
    if (this.#options.bytesPerDay === 0) this.#leftBytes = options.burstBytes
    this.#options = options
    this.#leftBytes = Math.min(this.#leftBytes, options.burstBytes)
  }

  /** May so much be written, or must it? Then it is on its way until {@link arrived}. */
  take(bytes: number, isForced = false): boolean {
    this.#refill()
    if (!isForced && this.#options.bytesPerDay > 0 && this.#pendingBytes + bytes > this.#leftBytes) return false
    this.#pendingBytes += bytes
    return true
  }

  /** Bytes that were taken were written, or dropped. */
  arrived(bytes: number): void {
    this.#pendingBytes -= bytes
  }

  /** Blocks were written. */
  written(bytes: number): void {
    this.#bytes += bytes
    this.#leftBytes -= bytes
    this.#unsavedBytes += bytes
    if (this.#options.bytesPerDay > 0) void this.#saveIfSpent(this.#options.burstBytes * writeSaveShare)
  }

  /** Saved once more. Never rejects. */
  async close(): Promise<void> {
    this.#saves.stop()
    await this.#saving
    await this.#saveIfSpent(1)
  }

  #refill(): void {
    const nowMs = this.#parts.wallMs()
    const { bytesPerDay, burstBytes } = this.#options
    const came = (Math.max(0, nowMs - this.#refilledMs) / dayMs) * bytesPerDay
    this.#leftBytes = Math.min(burstBytes, this.#leftBytes + came)
    this.#refilledMs = nowMs
  }

  /** Never rejects: reports to the log. */
  async #saveIfSpent(bytesMin: number): Promise<void> {
    if (this.#saving || this.#unsavedBytes < bytesMin) return
    this.#refill()
    const unsaved = this.#unsavedBytes
    const totalBytes = this.#earlierBytes + this.#bytes
    this.#unsavedBytes = 0
    // What was written without a limit is no debt to a later one.
    const leftBytes = this.#options.bytesPerDay > 0 ? this.#leftBytes : null
    const record: WrittenRecord = { totalBytes, leftBytes, savedMs: this.#refilledMs }
    this.#saving = this.#parts.index.putCounters(recordName, record).catch(error => {
      this.#unsavedBytes += unsaved
      this.#parts.logger.warn({ err: error }, 'the write budget could not be saved; it is tried again')
    })
    await this.#saving
    this.#saving = null
  }
}
