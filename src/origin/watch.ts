/**
 * The deadlines of one exchange with a server, and the caller's own signal, as one signal.
 *
 * Ours are exact timers of this exchange. undici's `headersTimeout` and `bodyTimeout` share coarse ones and start only when
 * the request is written, so a request that waits for a connection would escape them.
 */
import { abortedBy, CacheError } from '../errors.ts'
import { dripBytesMin } from '../limits.ts'

/** What a connection needs of it. */
export type Watched = Pick<Watch, 'signal' | 'error' | 'touch'>

export class Watch {
  readonly #subject: string
  readonly #caller: AbortSignal
  readonly #controller = new AbortController()
  readonly #leave: () => void
  #timer: NodeJS.Timeout | null = null
  /** Arrived since the timer was set. */
  #bytes = 0

  /**
   * @param subject what is waited for, for messages: a URL without credentials
   * @param caller fires when nobody wants the answer any more
   */
  constructor(subject: string, caller: AbortSignal) {
    this.#subject = subject
    this.#caller = caller
    this.#leave = () => this.#controller.abort(abortedBy(caller))
    if (caller.aborted) this.#leave()
    else caller.addEventListener('abort', this.#leave, { once: true })
  }

  /** Fires with a CacheError as its reason: aborted, or origin-timeout. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The error to throw when the signal has fired, else null. */
  get error(): CacheError | null {
    return this.#controller.signal.aborted ? (this.#controller.signal.reason as CacheError) : null
  }

  /** From now on `ms` milliseconds may pass before the next call. `missing` says what did not come then. */
  expect(missing: string, ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#bytes = 0
    this.#timer = setTimeout(() => {
      this.#controller.abort(new CacheError('origin-timeout', `${this.#subject}: ${missing} in ${ms} ms`))
    }, ms)
  }

  /** So many bytes of what was expected have arrived: once they are worth mentioning, its time starts again. */
  touch(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < dripBytesMin) return
    this.#bytes = 0
    this.#timer?.refresh()
  }

  /** The exchange is over: no timer, no listener is left. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#caller.removeEventListener('abort', this.#leave)
  }
}
