/**
 * Circuit state of an origin: judges by answers and failures whether it is there, and admits requests.
 *
 * - `available`: all are admitted.
 * - `away`: several tries failed and none was answered since. One try at a time goes out, after pauses that grow; reads
 * wait for its outcome, and names are refused at once.
 * - `suspect`: a try was answered; a few at a time may go, until several in a row were.
 *
 * A try that began before the latest answer counts for nothing: it hung on an earlier state, or on a connection that
 * broke. One log line when the origin goes and one when it is back, however many requests there were.
 */

import { once } from '../../async/light-abort-signal.ts'
import { type RunAfter, runAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, CacheError, messageOf, throwIfAborted } from '../../base/errors.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import { RetryAfterError } from '../contract/retry-after-error.ts'
import {
  originAnswersNeeded,
  originFailuresMax,
  originProbeMsMax,
  originProbeMsMin,
  originTrialsMax,
} from './limits.ts'

export type CircuitStateName = 'available' | 'suspect' | 'away'

/** A try that may be made. Exactly one of its methods is to be called, once. */
export interface CircuitTicket {
  /** The origin said something, were it that it has no such image. */
  answered(): void
  /** It did not. */
  failed(error: unknown): void
  /** Its caller left before the end. */
  cancelled(): void
}

export interface CircuitOptions {
  readonly logger: Logger
  /** Hears each change of the state. */
  readonly onChange: (state: CircuitStateName) => void
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly after: RunAfter
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** A snapshot for status. */
export interface CircuitStatus {
  readonly state: CircuitStateName
  /** The last failure in words; empty while the origin is available. */
  readonly reason: string
  /** Reads that wait for the origin to come back. */
  readonly waiting: number
  /** Since the start: times it went away, tries that had to wait for it, and requests for names that were refused. */
  readonly outages: number
  readonly delayed: number
  readonly refused: number
}

const optionsDefault: CircuitOptions = {
  logger: silentLogger,
  onChange: () => {},
  now: () => performance.now(),
  after: runAfter,
  random: Math.random,
}

export class CircuitState {
  readonly #url: string
  readonly #options: CircuitOptions
  #state: CircuitStateName = 'available'
  #reason = ''
  #sinceMs: number
  /** The time at which it was last seen to go from `available` to `away`. */
  #leftMs = 0
  /** Counts begins and answers, so that each try knows what came after it. */
  #order = 0
  #lastAnswer = 0
  #failures = 0
  #answers = 0
  /** Tries under way that were let through while it was not available. */
  #trials = 0
  #pauseMs = originProbeMsMin
  #nextProbeMs = 0
  /** Null while nobody waits: nothing has to be closed. */
  #cancelProbe: (() => void) | null = null
  // INVARIANT: no waiter while #mayTry().
  readonly #waiting = new Set<(ticket: CircuitTicket) => void>()
  #outages = 0
  #held = 0
  #refused = 0

  /** @param url of the origin, without credentials */
  constructor(url: string, options: Partial<CircuitOptions> = {}) {
    this.#url = url
    this.#options = { ...optionsDefault, ...options }
    this.#sinceMs = this.#options.now()
  }

  get state(): CircuitStateName {
    return this.#state
  }

  /** Milliseconds for which the state has been what it is. */
  get ageMs(): number {
    return this.#options.now() - this.#sinceMs
  }

  status(): CircuitStatus {
    return {
      state: this.#state,
      reason: this.#reason,
      waiting: this.#waiting.size,
      outages: this.#outages,
      delayed: this.#held,
      refused: this.#refused,
    }
  }

  /** The error for callers that cannot wait for it. */
  error(): CacheError {
    return new CacheError('origin-away', `${this.#url} is away: ${this.#reason}`)
  }

  /** For callers that do not wait. @throws CacheError origin-away */
  enterNow(): CircuitTicket {
    if (this.#mayTry()) return this.#admit()
    this.#refused++
    throw this.error()
  }

  /** For callers that wait if need be: null then. */
  enterAtOnce(): CircuitTicket | null {
    return this.#mayTry() ? this.#admit() : null
  }

  /**
   * Wait until a try may be made; first come, first served.
   * @throws CacheError aborted, with `origin-away` as its cause when that was what it waited for
   */
  async enter(signal: CancelSignal): Promise<CircuitTicket> {
    throwIfAborted(signal)
    if (this.#mayTry()) return this.#admit()
    this.#held++
    return await new Promise((resolve, reject) => {
      const enter = (ticket: CircuitTicket) => {
        signal.removeEventListener('abort', leave)
        resolve(ticket)
      }
      const leave = () => {
        this.#waiting.delete(enter)
        if (this.#waiting.size === 0) this.#disarm()
        reject(new CacheError('aborted', abortedBy(signal).message, { cause: this.error() }))
      }
      this.#waiting.add(enter)
      signal.addEventListener('abort', leave, once)
      this.#admitWaiting()
    })
  }

  #mayTry(): boolean {
    if (this.#state === 'available') return true
    if (this.#state === 'suspect') return this.#trials < originTrialsMax
    return this.#trials === 0 && this.#options.now() >= this.#nextProbeMs
  }

  #admit(): CircuitTicket {
    const begun = ++this.#order
    const isTrial = this.#state !== 'available'
    if (isTrial) this.#trials++
    return new Admission(begun, isTrial, this.#over)
  }

  readonly #over = (how: 'answered' | 'failed' | 'left', { begun, isTrial }: Admission, error: unknown): void => {
    if (isTrial) this.#trials--
    if (how === 'answered') this.#answered()
    else if (how === 'failed') this.#failed(begun, error)
    this.#admitWaiting()
  }

  #answered(): void {
    this.#lastAnswer = ++this.#order
    this.#failures = 0
    if (this.#state === 'available') return
    this.#answers++
    if (this.#answers >= originAnswersNeeded) this.#back()
    else if (this.#state === 'away') this.#change('suspect')
  }

  #failed(begun: number, error: unknown): void {
    if (begun < this.#lastAnswer) return
    this.#failures++
    if (this.#state === 'available' && this.#failures < originFailuresMax) return
    this.#reason = messageOf(error)
    if (this.#state === 'available') this.#gone()
    else this.#pauseMs = Math.min(2 * this.#pauseMs, originProbeMsMax)
    if (this.#state === 'suspect') this.#change('away')
    this.#answers = 0
    // Drawn at random, so that a thousand caches do not come back to an origin in step.
    const drawnMs = this.#pauseMs * (0.75 + 0.5 * this.#options.random())
    this.#nextProbeMs = this.#options.now() + Math.max(drawnMs, error instanceof RetryAfterError ? error.ms : 0)
  }

  #gone(): void {
    const { logger, now } = this.#options
    this.#outages++
    this.#pauseMs = originProbeMsMin
    this.#leftMs = now()
    this.#change('away')
    logger.warn(
      { origin: this.#url, reason: this.#reason },
      'the origin is away: what is held is served, misses wait for it, and it is tried again and again',
    )
  }

  #back(): void {
    const { logger, now } = this.#options
    this.#reason = ''
    this.#answers = 0
    this.#change('available')
    const seconds = Math.round((now() - this.#leftMs) / 100) / 10
    logger.info({ origin: this.#url, seconds, waiting: this.#waiting.size }, 'the origin is back')
  }

  #change(state: CircuitStateName): void {
    this.#state = state
    this.#sinceMs = this.#options.now()
    this.#options.onChange(state)
  }

  #admitWaiting(): void {
    for (const enter of this.#waiting) {
      if (!this.#mayTry()) break
      this.#waiting.delete(enter)
      enter(this.#admit())
    }
    this.#disarm()
    // While a try is under way, its end comes back here.
    if (this.#waiting.size === 0 || this.#trials > 0) return
    const ms = Math.max(0, this.#nextProbeMs - this.#options.now())
    this.#cancelProbe = this.#options.after(ms, () => this.#admitWaiting())
  }

  #disarm(): void {
    this.#cancelProbe?.()
    this.#cancelProbe = null
  }
}

type Over = (how: 'answered' | 'failed' | 'left', admission: Admission, error: unknown) => void

/** A try that was let through: its place in the order, and whether it was while the origin was not available. */
class Admission implements CircuitTicket {
  readonly begun: number
  readonly isTrial: boolean
  readonly #over: Over

  constructor(begun: number, isTrial: boolean, over: Over) {
    this.begun = begun
    this.isTrial = isTrial
    this.#over = over
  }

  answered(): void {
    this.#over('answered', this, null)
  }

  failed(error: unknown): void {
    this.#over('failed', this, error)
  }

  cancelled(): void {
    this.#over('left', this, null)
  }
}
