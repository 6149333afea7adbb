/**
 * Own time: timers that leave out the lateness of the event loop. A peer whose answer lies in the socket unread,
 * because this process was busy, is not late.
 *
 * One interval drives all timers while there are any. A tick counts for its period at most, however late it came.
 */
import { type RunEvery, runEvery } from './timers.ts'

/** The period of a tick: timers are exact to that. */
const tickMs = 5

export class OwnTime {
  readonly #every: RunEvery
  readonly #waiting = new Set<{ leftMs: number; readonly work: () => void }>()
  #cancel: (() => void) | null = null

  constructor(every: RunEvery = runEvery) {
    this.#every = every
  }

  /** Timers that are armed. */
  get armed(): number {
    return this.#waiting.size
  }

  /** Runs `work` once after `ms` of the loop's own time. @returns its cancellation, which is idempotent */
  after(ms: number, work: () => void): () => void {
    // The tick under way may be all but over.
    const timer = { leftMs: ms + tickMs, work }
    this.#waiting.add(timer)
    this.#cancel ??= this.#every(tickMs, () => this.#tick())
    return () => {
      this.#waiting.delete(timer)
      if (this.#waiting.size === 0) this.#stop()
    }
  }

  #tick(): void {
    const due: (() => void)[] = []
    for (const timer of this.#waiting) {
      timer.leftMs -= tickMs
      if (timer.leftMs > 0) continue
      this.#waiting.delete(timer)
      due.push(timer.work)
    }
    if (this.#waiting.size === 0) this.#stop()
    for (const work of due) work()
  }

  #stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }
}
