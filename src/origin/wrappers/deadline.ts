/**
 * An Origin whose calls end in time, whatever the one inside does: after `msMax` its signal fires, and the caller gets
 * `origin-timeout`, or `origin-away` when that is what it waited for. It bounds what no single deadline of an exchange does: an
 * answer that drips, and tries that add up.
 *
 * It trusts the Origin inside to end as soon as its signal fires, as every Origin promises.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { callSafely } from '../../async/on-settled.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import type { Digest } from '../contract/digest.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'

export class DeadlineOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #msMax: number

  /** @param msMax how long one call may take */
  constructor(inner: Origin, msMax: number) {
    this.url = inner.url
    this.#inner = inner
    this.#msMax = msMax
  }

  list({ signal }: ReadOptions): Promise<readonly string[] | null> {
    return this.#inTime(options => this.#inner.list(options), signal)
  }

  lookup(key: string, { signal }: ReadOptions): Promise<ImageFacts> {
    return this.#inTime(options => this.#inner.lookup(key, options), signal)
  }

  read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    return this.#inTime(options => this.#inner.read(image, offset, target, options), signal)
  }

  extentAt(image: Image, offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    return this.#inTime(options => this.#inner.extentAt(image, offset, options), signal)
  }

  digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    return this.#inTime(options => this.#inner.digest(image, options), signal)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #inTime<T>(call: (options: ReadOptions) => Promise<T>, caller: AbortSignal): Promise<T> {
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
    return callSafely(() => call({ signal })).then(
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
