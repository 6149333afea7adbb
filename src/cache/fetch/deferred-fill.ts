/**
 * Deferred fill: fetches the remainder of an extent whose reader has got its own bytes first. It starts while no reader
 * waits for the origin, because each takes as long as many small reads. It does not start much later than that, and at
 * once when a reader wants one of its blocks.
 */

import { type RunAfter, runAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, throwIfAborted } from '../../base/errors.ts'
import { deferredFillBytesMax, deferredFillMsMax, deferredFillQuietMs, deferredFillsMax } from './limits.ts'

export interface DeferredFillsContext {
  /** Readers that wait for an origin now. */
  demanded(): number
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Runs the next look; Node's own timers when absent. */
  readonly after?: RunAfter
}

/** One that waits for its turn. */
interface Waiting {
  readonly bytes: number
  readonly sinceMs: number
  begin(): void
}

export class DeferredFills {
  readonly #parts: DeferredFillsContext
  /** The oldest comes first. */
  readonly #waiting = new Set<Waiting>()
  #waitingBytes = 0
  /** Begun and not over, also those that did not have to wait. */
  #inProgress = 0
  #demandMs = Number.NEGATIVE_INFINITY
  #willLook = false

  constructor(parts: DeferredFillsContext) {
    this.#parts = parts
  }

  /** Rests that have not begun. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** A reader has asked an origin for something. */
  demand(): void {
    this.#demandMs = this.#parts.now()
  }

  /**
   * Do `fetch` when its turn has come, or `hurry` resolves.
   * @throws CacheError aborted, and what `fetch` throws
   */
  async run<T>(bytes: number, hurry: Promise<void>, signal: CancelSignal, fetch: () => Promise<T>): Promise<T> {
    await this.#turn(bytes, hurry, signal)
    try {
      return await fetch()
    } finally {
      this.#inProgress--
      this.#pump()
    }
  }

  #turn(bytes: number, hurry: Promise<void>, signal: CancelSignal): Promise<void> {
    throwIfAborted(signal)
    return new Promise((resolve, reject) => {
      const settle = (how: () => void) => {
        if (!this.#waiting.delete(waiting)) return
        this.#waitingBytes -= bytes
        signal.removeEventListener('abort', leave)
        how()
      }
      const begin = () =>
        settle(() => {
          this.#inProgress++
          resolve()
        })
      const leave = () => settle(() => reject(abortedBy(signal)))
      const waiting = { bytes, sinceMs: this.#parts.now(), begin }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(waiting)
      this.#waitingBytes += bytes
      void hurry.then(begin) // Never rejects.
      this.#pump()
    })
  }

  /** Let begin what may; look again when more may. */
  #pump(): void {
    const nowMs = this.#parts.now()
    const isQuiet = this.#parts.demanded() === 0 && nowMs - this.#demandMs >= deferredFillQuietMs
    for (const next of this.#waiting) {
      const isDue = nowMs - next.sinceMs >= deferredFillMsMax || this.#waitingBytes > deferredFillBytesMax
      if (!isDue && !(isQuiet && this.#inProgress < deferredFillsMax)) break
      next.begin()
    }
    if (this.#waiting.size === 0 || this.#willLook) return
    this.#willLook = true
    const { after = runAfter } = this.#parts
    after(deferredFillQuietMs, () => {
      this.#willLook = false
      this.#pump()
    })
  }
}
