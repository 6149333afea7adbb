/**
 * Deadline: an Origin whose calls end in time, whatever the one inside does. After `msMax` its signal fires, and the
 * caller gets `origin-timeout`, or `origin-away` when that was the cause of the wait. It bounds what no single time-out
 * of an exchange does: an answer that drips, and tries that add up.
 *
 * An image that is read whole takes as long as it takes; its origin sees to it that it goes on.
 *
 * It trusts the Origin inside to end as soon as its signal fires, as every Origin promises.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { callSafely } from '../../async/on-settled.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin, type OriginCall, type OriginOperation } from './forwarding-origin.ts'

export class DeadlineOrigin extends ForwardingOrigin {
  readonly #msMax: number

  /** @param msMax how long one call may take */
  constructor(inner: Origin, msMax: number) {
    super(inner)
    this.#msMax = msMax
  }

  protected override forward<T>(operation: OriginOperation, call: OriginCall<T>, options: ReadOptions): Promise<T> {
    if (operation === 'readWhole') return call(this.inner, options)
    const { signal: caller, isOptional, trace } = options
    const signal = new LightAbortSignal(caller)
    let late = false
    const timer = setTimeout(() => {
      late = true
      signal.abort()
    }, this.#msMax)
    const end = () => {
      clearTimeout(timer)
      signal.end()
    }
    return callSafely(() => call(this.inner, { signal, isOptional, trace })).then(
      result => {
        end()
        return result
      },
      cause => {
        end()
        throw late && !caller.aborted && isCacheError(cause, 'aborted') ? this.#lateError(cause) : cause
      },
    )
  }

  #lateError(cause: CacheError): CacheError {
    const why = isCacheError(cause.cause) ? cause.cause : null
    const code = why?.code === 'origin-away' ? 'origin-away' : 'origin-timeout'
    return new CacheError(code, `${this.url}: not done in ${this.#msMax} ms${why ? `: ${why.message}` : ''}`, { cause })
  }
}
