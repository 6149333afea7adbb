/**
 * Overdue reads: tells session threads the state of the cache disk, and takes back the reads that waited too long for
 * it.
 *
 * While reads may not wait for the disk, hits that the page cache does not answer come to TypeScript. READs that have
 * waited too long, for the disk or for a store thread, are taken back whatever the state; disk-health.ts finds out
 * which of the two it was.
 */

import { PeriodicTask } from '../../async/periodic-task.ts'
import type { Engine, Session } from '../../native/addon.ts'
import type { DiskHealth, DiskHealthState } from '../../store/disk/disk-health.ts'
import { storeReadLookMs } from '../../store/disk/limits.ts'
import { nativeFetchMsMax } from './limits.ts'

/** The calls of a session that concern us. */
export type DeferringSession = Pick<Session, 'deferReads' | 'forwardOverdue' | 'forwardUnanswered'>

export interface OverdueReadsOptions {
  readonly engine: Pick<Engine, 'abandonFetches'>
  /** The disk is healthy again. */
  readonly onHealthy: () => void
}

export class OverdueReads {
  readonly #options: OverdueReadsOptions
  readonly #sessions = new Set<DeferringSession>()
  #health: DiskHealth | null = null
  #state: DiskHealthState = 'healthy'
  readonly #looks = new PeriodicTask(storeReadLookMs, () => this.look())

  constructor(options: OverdueReadsOptions) {
    this.#options = options
  }

  /** Look after a session until {@link close}. */
  watch(session: DeferringSession, health: DiskHealth): void {
    this.#sessions.add(session)
    this.#health = health
    session.deferReads(health.mayWait)
    this.#looks.start()
  }

  /** Take back what is overdue. A READ waits for a look at most, so that it is handed over within `readMsMax`. */
  look(): void {
    if (this.#sessions.size === 0 || !this.#health) return
    const overdueMs = this.#health.readMsMax - storeReadLookMs
    // Of an origin: TypeScript has another try, and the deadlines of their readers.
    this.#options.engine.abandonFetches(nativeFetchMsMax)
    for (const session of this.#sessions) session.forwardUnanswered(nativeFetchMsMax)
    // Told in the same turn, before TypeScript gets any of them: they must not wait for the disk again.
    let overdue = 0
    for (const session of this.#sessions) overdue += session.forwardOverdue(overdueMs)
    if (overdue > 0) this.#health.late(overdueMs)
  }

  /** Hears every change of the health. */
  changed(health: DiskHealth): void {
    for (const session of this.#sessions) session.deferReads(health.mayWait)
    if (health.state === 'healthy' && this.#state !== 'healthy') this.#options.onHealthy()
    this.#state = health.state
  }

  /** Idempotent. */
  close(): void {
    this.#looks.stop()
    this.#sessions.clear()
  }
}
