/**
 * Time-outs of one exchange with a server, and the caller's own signal, as one signal.
 *
 * Ours are exact timers of this exchange. undici's `headersTimeout` and `bodyTimeout` share coarse ones and start only
 * when the request is written, so a request that waits for a connection would escape them.
 *
 * A process that stood still has not read what came meanwhile: its server gets that time once more.
 */

import { LightAbortSignal } from '../../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../../base/cancel-signal.ts'
import { abortedBy, CacheError } from '../../../base/errors.ts'
import { dripBytesMin, lateTimerMsMin } from './limits.ts'

/** The members that a connection needs. */
export type TimedPhase = Pick<ExchangeTimeout, 'signal' | 'error' | 'progress'>

export class ExchangeTimeout {
  readonly #subject: string
  readonly #signal: LightAbortSignal
  #timer: NodeJS.Timeout | null = null
  /** The time that the timer is set to, and the one that is allowed. */
  #timerMs = 0
  #msMax = 0
  /** By performance.now(). */
  #dueMs = 0
  /** Has the time been made longer, for a process that stood still? */
  #isLonger = false
  #missing = ''
  /** Arrived since the timer was set. */
  #bytes = 0

  /**
   * @param subject the object of the wait, for messages: a URL without credentials
   * @param caller fires when the answer is not wanted any more
   */
  constructor(subject: string, caller: CancelSignal) {
    this.#subject = subject
    this.#signal = new LightAbortSignal(caller, abortedBy)
  }

  /** Fires with a CacheError as its reason: aborted, or origin-timeout. */
  get signal(): CancelSignal {
    return this.#signal
  }

  /** The error to throw when the signal has fired, else null. */
  get error(): CacheError | null {
    return this.#signal.aborted ? (this.#signal.reason as CacheError) : null
  }

  /** From now on `ms` milliseconds may pass before the next call. `missing` says what did not come then. */
  arm(missing: string, ms: number): void {
    this.#bytes = 0
    this.#missing = missing
    this.#msMax = ms
    this.#start()
  }

  /** Nothing is expected until {@link arm}: the caller has not taken yet what came. */
  rest(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** So many bytes of what was expected have arrived: once they are worth mentioning, its time starts again. */
  progress(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < dripBytesMin) return
    this.#bytes = 0
    if (this.#timer !== null) this.#start()
  }

  /** The exchange is over: no timer, no listener is left. */
  end(): void {
    this.rest()
    this.#signal.end()
  }

  #start(): void {
    this.#isLonger = false
    this.#set(this.#msMax)
  }

  #set(ms: number): void {
    this.#dueMs = performance.now() + ms
    if (this.#timer !== null && this.#timerMs === ms) {
      this.#timer.refresh()
      return
    }
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timerMs = ms
    this.#timer = setTimeout(() => this.#fire(), ms)
  }

  #fire(): void {
    const lateMs = Math.ceil(performance.now() - this.#dueMs)
    if (lateMs >= lateTimerMsMin && !this.#isLonger) {
      this.#isLonger = true
      this.#set(Math.min(lateMs, this.#msMax))
      return
    }
    this.#signal.abort(new CacheError('origin-timeout', `${this.#subject}: ${this.#missing} in ${this.#msMax} ms`))
  }
}
