/**
 * Token authorizer: logs in once for all requests that wait, sends the token with each request, and renews it before
 * its end or when a server refuses it. Tokens are kept in memory alone.
 */
import { SharedRun } from '../../async/shared-run.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Authorization, AuthorizedRequest, Authorizer } from '../http/authorizer.ts'
import { loginPauseMs, tokenMarginMs } from './limits.ts'
import type { ServiceEndpoint } from './service-catalog.ts'

/** The outcome of a login. */
export interface TokenLogin {
  readonly token: string
  /** From the moment at which it was asked for, in milliseconds. */
  readonly lifetimeMs: number
  readonly catalog: readonly ServiceEndpoint[]
}

export interface TokenAuthorizerOptions {
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now?: () => number
}

/** The header of a token. Source: OpenStack Identity API v3; Swift, "Auth System". */
const tokenHeader = 'x-auth-token'

export class TokenAuthorizer implements Authorizer {
  /** 403 is an answer to a good token: another one brings the same. */
  readonly refusals: ReadonlySet<number> = new Set([401])
  readonly #logIn: () => Promise<TokenLogin>
  readonly #logger: Logger
  readonly #now: () => number
  readonly #logins = new SharedRun<TokenLogin>()
  #login: TokenLogin | null = null
  /** Of the token. */
  #sinceMs = 0
  /** The last login, be it a failure or not. */
  #triedMs = Number.NEGATIVE_INFINITY
  #failure: unknown = null

  /** @param logIn rejects with a CacheError whose message has no secret in it */
  constructor(logIn: () => Promise<TokenLogin>, { logger, now = () => performance.now() }: TokenAuthorizerOptions) {
    this.#logIn = logIn
    this.#logger = logger
    this.#now = now
  }

  async authorize(): Promise<Authorization> {
    const { token } = await this.login()
    return { headers: { [tokenHeader]: token }, query: '', freshMs: this.#freshMs }
  }

  async refused(_request: AuthorizedRequest, sent: Authorization): Promise<boolean> {
    const isCurrent = sent.headers[tokenHeader] === this.#login?.token
    if (!isCurrent) return true
    if (this.#now() - this.#triedMs < loginPauseMs) return false
    const { token } = await this.#logins.run(() => this.#renew())
    return token !== sent.headers[tokenHeader]
  }

  /**
   * The login in use, with a token that is good.
   * @throws CacheError access-denied, origin-*; the same one for a while
   */
  async login(): Promise<TokenLogin> {
    const known = this.#login
    if (known !== null && this.#freshMs > 0) return known
    if (this.#logins.current === null && this.#now() - this.#triedMs < loginPauseMs) {
      if (known !== null && this.#leftMs > 0) return known
      if (this.#failure !== null) throw this.#failure
    }
    try {
      return await this.#logins.run(() => this.#renew())
    } catch (error) {
      if (known === null || this.#leftMs <= 0) throw error
      this.#logger.warn({}, `${messageOf(error)}; the token of before is used until its end`)
      return known
    }
  }

  async #renew(): Promise<TokenLogin> {
    const startMs = this.#now()
    try {
      const login = await this.#logIn()
      this.#login = login
      this.#sinceMs = startMs
      this.#failure = null
      return login
    } catch (error) {
      this.#failure = error
      throw error
    } finally {
      this.#triedMs = this.#now()
    }
  }

  /** The time for which the token is good. */
  get #leftMs(): number {
    return this.#login === null ? 0 : this.#login.lifetimeMs - (this.#now() - this.#sinceMs)
  }

  /** The time until it is to be renewed. */
  get #freshMs(): number {
    return this.#leftMs - Math.min(tokenMarginMs, (this.#login?.lifetimeMs ?? 0) / 4)
  }
}
