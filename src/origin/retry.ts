/**
 * An Origin that tries again what may work the next time, after a pause that grows and is drawn at random, so that many
 * readers who failed together do not come back together.
 *
 * A read that is tried again fills its whole target again.
 */
import { type ErrorCode, isCacheError, throwIfAborted } from '../errors.ts'
import type { Image, ImageFacts } from '../image.ts'
import { originTriesMax, retryMsMax, retryMsMin } from '../limits.ts'
import { pause } from '../unless-aborted.ts'
import type { Digest } from './digest.ts'
import type { Listed, Origin, OriginExtent, ReadOptions } from './origin.ts'

/** What may be gone the next time. All else is an answer, and asking again brings the same one. */
const retryable: readonly ErrorCode[] = ['origin-unreachable', 'origin-timeout', 'origin-failed']

export interface RetryOptions {
  readonly triesMax: number
  /** The longest first pause; it doubles with each try, up to `msMax`. */
  readonly msMin: number
  readonly msMax: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Waits; rejects with `aborted` when the signal fires. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>
}

const retryOptionsDefault: RetryOptions = {
  triesMax: originTriesMax,
  msMin: retryMsMin,
  msMax: retryMsMax,
  random: Math.random,
  pause,
}

export class RetryOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #options: RetryOptions

  constructor(inner: Origin, options: Partial<RetryOptions> = {}) {
    this.url = inner.url
    this.#inner = inner
    this.#options = { ...retryOptionsDefault, ...options }
  }

  list(options: ReadOptions): Promise<readonly Listed[] | null> {
    return this.#try(() => this.#inner.list(options), options)
  }

  lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    return this.#try(() => this.#inner.lookup(key, options), options)
  }

  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    return this.#try(() => this.#inner.read(image, offset, target, options), options)
  }

  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.#try(() => this.#inner.extentAt(image, offset, options), options)
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.#try(() => this.#inner.digest(image, options), options)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  async #try<T>(call: () => Promise<T>, { signal }: ReadOptions): Promise<T> {
    const { triesMax, msMin, msMax, random, pause } = this.#options
    for (let tries = 1; ; tries++) {
      throwIfAborted(signal)
      try {
        return await call()
      } catch (error) {
        if (tries >= triesMax || !isCacheError(error, ...retryable)) throw error
      }
      await pause(random() * Math.min(msMax, msMin * 2 ** (tries - 1)), signal)
    }
  }
}
