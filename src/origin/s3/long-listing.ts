/**
 * Long listing: it goes on when the time of its caller is over, and is there for the next one.
 *
 * A listing comes in pages, each with time-outs of its own. All of it may take longer than one call may: that call
 * fails, and a later one gets the names.
 */
import { abortable } from '../../async/abortable.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { listingKeptMs } from './limits.ts'

interface Running<T> {
  readonly names: Promise<T>
  /** The time at which it was whole; null: it is under way. */
  endedMs: number | null
}

export class LongListing<T> {
  readonly #now: () => number
  #running: Running<T> | null = null

  /** @param now milliseconds, never going back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /**
   * The names of the listing that is under way, or that was whole a moment ago and was given to no caller; else of a
   * new one.
   * @param list lists; its signal does not fire: the end of the origin ends it
   * @throws CacheError aborted, or the error of `list`
   */
  async names(list: (signal: CancelSignal) => Promise<T>, signal: CancelSignal): Promise<T> {
    const ended = this.#running?.endedMs ?? null
    if (ended !== null && this.#now() - ended >= listingKeptMs) this.#running = null
    const running = (this.#running ??= this.#begin(list))
    const names = await abortable(running.names, signal)
    this.#forget(running)
    return names
  }

  #begin(list: (signal: CancelSignal) => Promise<T>): Running<T> {
    const running: Running<T> = { names: list(new AbortController().signal), endedMs: null }
    running.names.then(
      () => {
        running.endedMs = this.#now()
      },
      () => this.#forget(running),
    )
    return running
  }

  #forget(running: Running<T>): void {
    if (this.#running === running) this.#running = null
  }
}
