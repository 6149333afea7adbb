/**
 * Retry: an Origin that tries again after failures that may pass. The pause grows and is drawn at random, so that many
 * readers that failed together do not come back together.
 *
 * Names are tried a few times: the index knows them too. Reads are tried for as long as their signal lets them: a
 * deadline belongs around this. A read that is tried again fills its whole target again. Optional calls have one try,
 * and so has a whole image: bytes that were taken cannot be given back.
 */

import { callSafely } from '../../async/on-settled.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, CacheError, isCacheError, mayPass, throwIfAborted } from '../../base/errors.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { RetryAfterError } from '../contract/retry-after-error.ts'
import { ForwardingOrigin, type OriginCall, type OriginOperation } from './forwarding-origin.ts'
import { originTriesMax, retryMsMax, retryMsMin } from './limits.ts'

export interface RetryOptions {
  /** Of names; reads have as many as their time allows. */
  readonly triesMax: number
  /** The longest first pause; it doubles with each try, up to `msMax`. */
  readonly msMin: number
  readonly msMax: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Waits so long, or until the signal fires. */
  readonly pause: (ms: number, signal: CancelSignal) => Promise<void>
}

const retryOptionsDefault: RetryOptions = {
  triesMax: originTriesMax,
  msMin: retryMsMin,
  msMax: retryMsMax,
  random: Math.random,
  pause,
}

export class RetryOrigin extends ForwardingOrigin {
  readonly #options: RetryOptions

  constructor(inner: Origin, options: Partial<RetryOptions> = {}) {
    super(inner)
    this.#options = { ...retryOptionsDefault, ...options }
  }

  protected override forward<T>(operation: OriginOperation, call: OriginCall<T>, options: ReadOptions): Promise<T> {
    const { signal, isOptional = false } = options
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    const forwarded = () => call(this.inner, options)
    if (isOptional || operation === 'readWhole') return callSafely(forwarded)
    const triesMax = operation === 'read' ? Number.POSITIVE_INFINITY : this.#options.triesMax
    return callSafely(forwarded).catch(error => this.#tryAgain(forwarded, signal, triesMax, error))
  }

  /** @param error what the first try failed with */
  async #tryAgain<T>(call: () => Promise<T>, signal: CancelSignal, triesMax: number, error: unknown): Promise<T> {
    const { msMin, msMax, random, pause } = this.#options
    let failure: CacheError | null = null
    try {
      let latest = error
      for (let tries = 1; tries < triesMax && mayPass(latest); tries++) {
        failure = latest as CacheError
        const pauseMs = random() * Math.min(msMax, msMin * 2 ** (tries - 1))
        await pause(Math.max(pauseMs, failure instanceof RetryAfterError ? failure.ms : 0), signal)
        throwIfAborted(signal)
        try {
          return await call()
        } catch (next) {
          latest = next
        }
      }
      throw latest
    } catch (error) {
      // The setter of the deadline wants to tell the cause of the delay.
      if (failure === null || !isCacheError(error, 'aborted') || isCacheError(error.cause)) throw error
      throw new CacheError('aborted', error.message, { cause: failure })
    }
  }
}
