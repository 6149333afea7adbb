/**
 * OpenStack account: lets requests in at a service, and says where that is.
 */
import { abortable } from '../../async/abortable.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Authorizer } from '../http/authorizer.ts'
import { HttpClient, type HttpOptions } from '../http/http-client.ts'
import { Credentials } from '../http/request-credentials.ts'
import { Secret } from '../http/secret.ts'
import { keystoneLogin } from './keystone-login.ts'
import type { AccountLogin } from './openstack-options.ts'
import { type EndpointChoice, endpointIn } from './service-catalog.ts'
import { tempauthLogin } from './tempauth-login.ts'
import { TokenAuthorizer, type TokenLogin } from './token-authorizer.ts'

export interface AccountOptions {
  readonly login: AccountLogin
  readonly endpoint: EndpointChoice
  readonly logger: Logger
}

/** A login is shared by all that wait for it: each of these leaves by itself. */
const neverAborted: CancelSignal = new AbortController().signal

export class OpenStackAccount {
  /** Of the service; null: requests need none. */
  readonly authorizer: Authorizer | null
  readonly #endpoint: EndpointChoice
  readonly #tokens: TokenAuthorizer | null = null
  readonly #client: HttpClient | null = null

  /** @throws CacheError invalid-argument */
  constructor({ login, endpoint, logger }: AccountOptions, http: HttpOptions) {
    this.#endpoint = endpoint
    this.authorizer = null
    if (login.kind === 'none') return
    if (login.kind === 'token') {
      this.authorizer = new Credentials({ headers: { 'x-auth-token': login.token } }, { logger })
      return
    }
    const { origin } = urlOf(login.authUrl)
    const headers = login.kind === 'v1' ? { 'x-auth-user': login.username, 'x-auth-key': login.password } : null
    const authorizer = headers && new Credentials({ headers }, { logger })
    // One login at a time, whose body is small: no native connections.
    const client = new HttpClient(origin, null, {
      ...http,
      authorizer,
      receiver: null,
      readers: null,
      unixSocket: null,
    })
    this.#client = client
    this.#tokens = new TokenAuthorizer(logInWith(login, client, logger), { logger })
    this.authorizer = this.#tokens
  }

  /**
   * The URL of a service, by the catalog.
   * @throws CacheError access-denied, origin-*, aborted
   */
  async endpointOf(type: string, signal: CancelSignal): Promise<string> {
    if (this.#tokens === null) throw new CacheError('invalid-argument', `there is no catalog with a URL of ${type}`)
    const { catalog } = await abortable(this.#tokens.login(), signal)
    return endpointIn(catalog, type, this.#endpoint)
  }

  async close(): Promise<void> {
    await this.#client?.close()
  }
}

function logInWith(
  login: Exclude<AccountLogin, { readonly kind: 'none' | 'token' }>,
  client: HttpClient,
  logger: Logger,
): () => Promise<TokenLogin> {
  const { authUrl } = login
  if (login.kind === 'v1') return () => tempauthLogin(client, authUrl, neverAborted)
  const identity =
    login.kind === 'password'
      ? { ...login, password: new Secret(login.password, { logger }) }
      : { applicationCredentialId: login.id, secret: new Secret(login.secret, { logger }) }
  return () => keystoneLogin(client, authUrl, identity, neverAborted)
}

function urlOf(authUrl: string): URL {
  const url = URL.canParse(authUrl) ? new URL(authUrl) : null
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url
  throw new CacheError('invalid-argument', `authUrl is not the URL of a login: write https://HOST:5000/v3`)
}
