/**
 * Request credentials: headers and a query for a web server that may be secret, and that only the origin's own host
 * gets.
 */
import { SharedRun } from '../../async/shared-run.ts'
import { CacheError } from '../../base/errors.ts'
import { type Authorization, type AuthorizedRequest, type Authorizer, usualRefusals } from './authorizer.ts'
import { secretRenewMs } from './limits.ts'
import { Secret, type SecretOptions, type SecretSource } from './secret.ts'

/** The configured sources; one of `basic` and `bearer`, or neither. */
export interface CredentialSources {
  readonly basic?: { readonly username: string; readonly password: SecretSource } | undefined
  readonly bearer?: SecretSource | undefined
  /** By name in small letters. */
  readonly headers?: Readonly<Record<string, string | SecretSource>> | undefined
  /** Such as a shared access signature: `NAME=VALUE&...`, encoded. */
  readonly query?: SecretSource | undefined
}

type Headers = Readonly<Record<string, string>>

export class Credentials implements Authorizer {
  readonly refusals = usualRefusals
  readonly #parts: readonly {
    readonly header: string
    readonly secret: Secret
    readonly format: (value: string) => string
  }[]
  readonly #plain: Headers
  readonly #query: Secret | null
  readonly #now: () => number
  #renewedMs = Number.NEGATIVE_INFINITY
  readonly #renewals = new SharedRun()

  constructor({ basic, bearer, headers = {}, query }: CredentialSources, options: SecretOptions) {
    this.#now = options.now ?? (() => performance.now())
    const parts = []
    const plain: Record<string, string> = {}
    for (const [header, value] of Object.entries(headers)) {
      if (typeof value === 'string') plain[header] = value
      else parts.push({ header, secret: new Secret(value, options), format: (text: string) => text })
    }
    if (basic) {
      const format = (password: string) => `Basic ${Buffer.from(`${basic.username}:${password}`).toString('base64')}`
      parts.push({ header: 'authorization', secret: new Secret(basic.password, options), format })
    }
    if (bearer) {
      parts.push({
        header: 'authorization',
        secret: new Secret(bearer, options),
        format: (text: string) => `Bearer ${text}`,
      })
    }
    this.#parts = parts
    this.#plain = plain
    this.#query = query === undefined ? null : new Secret(query, options)
  }

  async authorize(): Promise<Authorization> {
    const [headers, query] = await Promise.all([this.headers(), this.#query?.value().then(queryOf) ?? ''])
    return { headers, query, freshMs: this.freshMs }
  }

  async refused(_request: AuthorizedRequest, sent: Authorization): Promise<boolean> {
    const isRenewed = await this.renew(sent.headers)
    return isRenewed || (this.#query !== null && queryOf(await this.#query.value()) !== sent.query)
  }

  /** @throws CacheError access-denied when a secret is not there */
  async headers(): Promise<Headers> {
    const entries = this.#parts.map(
      async ({ header, secret, format }) => [header, format(await secret.value())] as const,
    )
    return { ...this.#plain, ...Object.fromEntries(await Promise.all(entries)) }
  }

  /** The time for which they are good without being asked for again, in milliseconds. */
  get freshMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#secrets.map(({ freshMs }) => freshMs))
  }

  /**
   * The server refuses what it was sent: read the secrets anew, unless that was done a moment ago. Requests that are
   * refused together wait for the same reading.
   * @returns true when there is something else to send now
   */
  async renew(sent: Headers): Promise<boolean> {
    const isDue = this.#now() - this.#renewedMs >= secretRenewMs
    if (isDue || this.#renewals.current !== null) await this.#renewals.run(() => this.#readAnew())
    const headers = await this.headers()
    return Object.keys(headers).some(header => headers[header] !== sent[header])
  }

  async #readAnew(): Promise<void> {
    this.#renewedMs = this.#now()
    await Promise.all(this.#secrets.map(secret => secret.renew()))
  }

  get #secrets(): readonly Secret[] {
    const secrets = this.#parts.map(({ secret }) => secret)
    return this.#query === null ? secrets : [...secrets, this.#query]
  }
}

/** @throws CacheError access-denied */
function queryOf(secret: string): string {
  const query = secret.replace(/^\?/, '')
  if (/^[\x21-\x7e]+$/.test(query) && !query.includes('#')) return query
  throw new CacheError('access-denied', 'the secret query is not usable: it is not an encoded query NAME=VALUE&...')
}
