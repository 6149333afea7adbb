/**
 * Shared run: at most one run of some work is under way, and calls that come meanwhile join it.
 *
 * NextRun joins only a run that begins after the call. SingleFlight has a run for each key, and ends it with its
 * last caller.
 */
import { callSafely } from './on-settled.ts'

export class SharedRun<T = void> {
  #current: Promise<T> | null = null

  /** The run under way; null when there is none. */
  get current(): Promise<T> | null {
    return this.#current
  }

  /** Join the run under way, or begin `work`. Settles as that run does; the next call after that begins another. */
  run(work: () => Promise<T>): Promise<T> {
    this.#current ??= callSafely(work).finally(() => {
      this.#current = null
    })
    return this.#current
  }
}
