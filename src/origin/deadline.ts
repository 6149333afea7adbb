/**
 * An Origin whose calls end in time, whatever the one inside does: after `msMax` its signal fires, and the caller gets
 * `origin-timeout`. It bounds what no single deadline of an exchange does: an answer that drips, and tries that add up.
 *
 * It trusts the Origin inside to end as soon as its signal fires, as every Origin promises.
 */
import { CacheError, isCacheError } from '../errors.ts'
import type { Image, ImageFacts } from '../image.ts'
import type { Digest } from './digest.ts'
import type { Listed, Origin, OriginExtent, ReadOptions } from './origin.ts'

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

  list({ signal }: ReadOptions): Promise<readonly Listed[] | null> {
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

  async #inTime<T>(call: (options: ReadOptions) => Promise<T>, caller: AbortSignal): Promise<T> {
    const controller = new AbortController()
    let late = false
    const leave = () => controller.abort(caller.reason)
    const timer = setTimeout(() => {
      late = true
      controller.abort()
    }, this.#msMax)
    if (caller.aborted) leave()
    else caller.addEventListener('abort', leave, { once: true })
    try {
      return await call({ signal: controller.signal })
    } catch (cause) {
      if (!late || caller.aborted || !isCacheError(cause, 'aborted')) throw cause
      throw new CacheError('origin-timeout', `${this.url}: not done in ${this.#msMax} ms`, { cause })
    } finally {
      clearTimeout(timer)
      caller.removeEventListener('abort', leave)
    }
  }
}
