/**
 * AWS credentials: the keys of the first source that has some, renewed before they end and when a server refuses them.
 *
 * While a renewal fails, the earlier keys stay in use: the server judges whether they are still good.
 */
import { SharedRun } from '../../../async/shared-run.ts'
import { CacheError, isCacheError, messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import type { AwsKeys, KeySource } from './aws-keys.ts'
import { keysMarginMsMax, keysRenewMs } from './limits.ts'

export interface AwsCredentialsOptions {
  readonly logger: Logger
  /** The clock on the wall, in milliseconds since 1970. */
  readonly now?: () => number
}

export class AwsCredentials {
  readonly #sources: readonly KeySource[]
  readonly #logger: Logger
  readonly #now: () => number
  readonly #renewals = new SharedRun<AwsKeys>()
  #keys: AwsKeys | null = null
  /** Until then they are used without a thought of renewal. */
  #freshUntilMs = Number.NEGATIVE_INFINITY
  #renewedMs = Number.NEGATIVE_INFINITY
  #failure: CacheError | null = null

  /** @param sources in the order in which they are asked */
  constructor(sources: readonly KeySource[], { logger, now = Date.now }: AwsCredentialsOptions) {
    this.#sources = sources
    this.#logger = logger
    this.#now = now
  }

  /**
   * The keys to sign with. Those that end soon are renewed meanwhile.
   * @throws CacheError access-denied when there are none; origin-* when the service that gives them fails
   */
  async keys(): Promise<AwsKeys> {
    const keys = this.#keys
    if (keys === null) return await this.#renewed(false)
    if (this.freshMs > 0) return keys
    const renewal = this.#renewed(false)
    if (keys.expiresMs !== null && keys.expiresMs <= this.#now()) return await renewal
    void renewal.catch(() => {}) // With keys in hand it warns, and does not reject.
    return keys
  }

  /** The time for which the keys are good without being asked for again, in milliseconds. */
  get freshMs(): number {
    return this.#keys === null ? 0 : this.#freshUntilMs - this.#now()
  }

  /**
   * A server refuses the keys: ask for others, unless that was done a moment ago.
   * @throws CacheError as keys()
   */
  renew(): Promise<AwsKeys> {
    return this.#renewed(true)
  }

  #renewed(isAgain: boolean): Promise<AwsKeys> {
    const isTooSoon = this.#now() - this.#renewedMs < keysRenewMs && this.#renewals.current === null
    if (isTooSoon && this.#keys !== null) return Promise.resolve(this.#keys)
    if (isTooSoon && this.#failure !== null) return Promise.reject(this.#failure)
    return this.#renewals.run(() => this.#renew(isAgain))
  }

  async #renew(isAgain: boolean): Promise<AwsKeys> {
    try {
      const keys = await this.#ask(isAgain)
      this.#failure = null
      if (this.#keys === null || !isSame(this.#keys, keys)) this.#keys = keys
      const leftMs = keys.expiresMs === null ? Number.POSITIVE_INFINITY : keys.expiresMs - this.#now()
      // Keys that have ended by our clock are the server's to judge.
      const freshMs = Math.max(keysRenewMs, leftMs - Math.min(keysMarginMsMax, leftMs / 4))
      this.#freshUntilMs = this.#now() + freshMs
      return this.#keys
    } catch (error) {
      const isNew = this.#failure === null
      this.#failure = isCacheError(error) ? error : new CacheError('access-denied', messageOf(error), { cause: error })
      if (this.#keys === null) throw this.#failure
      if (isNew) this.#logger.warn({}, `${this.#failure.message}; the AWS keys of before are used`)
      this.#freshUntilMs = this.#now() + keysRenewMs
      return this.#keys
    } finally {
      this.#renewedMs = this.#now()
    }
  }

  async #ask(isAgain: boolean): Promise<AwsKeys> {
    for (const source of this.#sources) {
      try {
        const keys = await source.keys(isAgain)
        if (keys !== null) return keys
      } catch (cause) {
        const code = isCacheError(cause) ? cause.code : 'access-denied'
        throw new CacheError(code, `the AWS keys from ${source.name} are not usable: ${messageOf(cause)}`, { cause })
      }
    }
    const asked = this.#sources.map(({ name }) => name).join(', ')
    throw new CacheError(
      'access-denied',
      `no AWS keys: there are none in ${asked}; a public bucket needs anonymous: true`,
    )
  }
}

function isSame(a: AwsKeys, b: AwsKeys): boolean {
  return a.accessKeyId === b.accessKeyId && a.secretAccessKey === b.secretAccessKey && a.sessionToken === b.sessionToken
}
