/**
 * Registry authorizer: tokens of the server that the registry names, or a login for the registry itself. Nothing is
 * sent until the registry asks for it.
 *
 * A token is renewed shortly before its end, and when it is refused. Its server is reached by https, or as the registry
 * is where that is on the same host or on this machine: a login goes there.
 * Source: Docker "Token Authentication Specification".
 */

import { SharedRun } from '../../async/shared-run.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Authorization, AuthorizedRequest, Authorizer, RefusedAnswer } from '../http/authorizer.ts'
import { HttpClient, type HttpOptions, type HttpRequest } from '../http/http-client.ts'
import { secretBytesMax, secretRenewMs } from '../http/limits.ts'
import { receiveText } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { httpPlaceOf, isLoopback } from '../http/protocol/http-url.ts'
import { LocalRedirects } from '../http/protocol/local-redirects.ts'
import { type Challenge, challengeOf } from './challenge.ts'
import { scopesMax, smallAnswerBytesMax, tokenMarginMsMax, tokenSecondsDefault } from './limits.ts'
import { identityTokenUser, type Login, type RegistryLogin } from './registry-login.ts'

interface Token {
  readonly header: string
  readonly sinceMs: number
  /** It is to be renewed from then on, and is good until `endMs`. */
  readonly untilMs: number
  readonly endMs: number
}

type BearerChallenge = Extract<Challenge, { kind: 'bearer' }>

const nothing: Authorization = { headers: {}, query: '', freshMs: Number.POSITIVE_INFINITY }

export class RegistryAuthorizer implements Authorizer {
  readonly refusals: ReadonlySet<number> = new Set([401])
  readonly #home: URL
  readonly #login: Pick<RegistryLogin, 'current' | 'renew' | 'freshMs'>
  readonly #options: HttpOptions
  readonly #now: () => number
  /** Scopes of a token: ours, and those that the registry has asked for. */
  readonly #scopes: Set<string>
  readonly #renewals = new SharedRun<Token>()
  readonly #closed = new AbortController()
  /** Of the last refusal; null: nothing was refused yet. */
  #challenge: Challenge | null = null
  #token: Token | null = null

  /** @param options of the registry's own client */
  constructor(
    home: URL,
    repository: string,
    login: Pick<RegistryLogin, 'current' | 'renew' | 'freshMs'>,
    options: HttpOptions,
    now: () => number = () => performance.now(),
  ) {
    this.#home = home
    this.#scopes = new Set([`repository:${repository}:pull`])
    this.#login = login
    this.#options = options
    this.#now = now
  }

  async authorize(): Promise<Authorization> {
    const challenge = this.#challenge
    if (challenge === null) return nothing
    if (challenge.kind === 'basic') {
      const login = await this.#login.current()
      return login === null || isIdentityToken(login) ? nothing : authorizationBy(basicOf(login), this.#login.freshMs)
    }
    const token = this.#token
    if (token === null || token.untilMs <= this.#now()) {
      const renewal = this.#renew(challenge)
      if (token === null || token.endMs <= this.#now()) await renewal
      else void renewal.catch(() => {}) // The token of before is sent until its end.
    }
    const { header, untilMs } = this.#token!
    return authorizationBy(header, untilMs - this.#now())
  }

  async refused(_request: AuthorizedRequest, sent: Authorization, { headers }: RefusedAnswer): Promise<boolean> {
    const asked = challengeOf(headers)
    if (asked === null) return false
    this.#challenge = asked
    if (asked.kind === 'bearer') return await this.#isRenewed(asked, sent)
    const before = sent.headers.authorization
    if (before !== undefined && before === (await this.authorize()).headers.authorization) await this.#login.renew()
    const { authorization } = (await this.authorize()).headers
    return authorization !== undefined && authorization !== before
  }

  /** A token that is asked for is not waited for any more. */
  close(): void {
    this.#closed.abort()
  }

  /** A token that was refused a moment after it was had allows no more than it does. */
  async #isRenewed(asked: BearerChallenge, sent: Authorization): Promise<boolean> {
    const isWider = this.#widen(asked.scope)
    const token = this.#token
    if (!isWider && token !== null) {
      if (token.header !== sent.headers.authorization) return true
      if (this.#now() - token.sinceMs < secretRenewMs) return false
      await this.#login.renew()
    }
    await this.#renew(asked)
    return true
  }

  /** @returns whether the registry asks for more than was asked for until now */
  #widen(scope: string | null): boolean {
    const before = this.#scopes.size
    for (const one of scope?.split(' ') ?? []) {
      if (this.#scopes.size < scopesMax && /^repository:[\w./-]+:[\w,*]+$/.test(one)) this.#scopes.add(one)
    }
    return this.#scopes.size > before
  }

  async #renew(challenge: BearerChallenge): Promise<void> {
    this.#token = await this.#renewals.run(() => this.#ask(challenge))
  }

  async #ask({ realm, service }: BearerChallenge): Promise<Token> {
    const url = await this.#placeOf(realm)
    const login = await this.#login.current()
    const sinceMs = this.#now()
    const asked = { service, scopes: [...this.#scopes] }
    const text = await (login !== null && isIdentityToken(login)
      ? this.#fetch(exchangeOf(url, asked, login), null)
      : this.#fetch(requestOf(url, asked), login && basicOf(login)))
    const { value, seconds } = tokenIn(text, httpPlaceOf(url))
    const ms = seconds * 1000
    const endMs = sinceMs + ms
    return { header: `Bearer ${value}`, sinceMs, untilMs: endMs - Math.min(tokenMarginMsMax, ms / 4), endMs }
  }

  async #fetch(request: HttpRequest, authorization: string | null): Promise<string> {
    const { url } = request
    const { signal } = this.#closed
    if (signal.aborted) throw new CacheError('closed', `${this.#home.origin}: the origin has been closed`)
    const server = new HttpClient(url.origin, authorization, this.#serverOptions(url))
    try {
      return await server.exchange(request, signal, async (answer, watch) => {
        if (answer.status !== 200) throw failureOf(answer, 'lookup')
        return (await receiveText(answer, smallAnswerBytesMax, watch)) ?? ''
      })
    } finally {
      await server.close()
    }
  }

  /** @throws CacheError origin-protocol where a login may not go */
  async #placeOf(realm: string): Promise<URL> {
    const url = URL.canParse(realm) ? new URL(realm) : null
    const refuse = (why: string) =>
      new CacheError('origin-protocol', `${this.#home.origin}: its token server ${why}, which is not asked`)
    if (url === null) throw refuse('has no URL')
    const isNear = url.protocol === 'http:' && this.#home.protocol === 'http:'
    const isSafe = isNear && (url.hostname === this.#home.hostname || isLoopback(url.hostname))
    if (url.protocol !== 'https:' && !isSafe) throw refuse(`is at ${url.origin}, by ${url.protocol}`)
    url.username = ''
    url.password = ''
    url.hash = ''
    await new LocalRedirects(this.#home.origin, this.#options.lookup).mustBeAllowed(url)
    return url
  }

  #serverOptions(url: URL): HttpOptions {
    const lookup = new LocalRedirects(this.#home.origin, this.#options.lookup).lookupFor(url.origin)
    return { ...this.#options, lookup, authorizer: null, receiver: null, readers: null, unixSocket: null }
  }
}

interface AskedToken {
  readonly service: string | null
  readonly scopes: readonly string[]
}

function requestOf(url: URL, { service, scopes }: AskedToken): HttpRequest {
  const whole = new URL(url)
  if (service !== null) whole.searchParams.set('service', service)
  for (const scope of scopes) whole.searchParams.append('scope', scope)
  return { method: 'GET', url: whole, headers: {} }
}

/** An identity token is exchanged. Source: Docker "Oauth2 Token Authentication" (grant_type, refresh_token). */
function exchangeOf(url: URL, { service, scopes }: AskedToken, { password }: Login): HttpRequest {
  const form = { grant_type: 'refresh_token', client_id: 'parentfs', service: service ?? '', scope: scopes.join(' ') }
  const body = new URLSearchParams({ ...form, refresh_token: password }).toString()
  return { method: 'POST', url, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body }
}

function isIdentityToken({ username }: Login): boolean {
  return username === identityTokenUser
}

function authorizationBy(authorization: string, freshMs: number): Authorization {
  return { headers: { authorization }, query: '', freshMs }
}

function basicOf({ username, password }: Login): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** @throws CacheError origin-protocol */
function tokenIn(text: string, place: string): { readonly value: string; readonly seconds: number } {
  try {
    const { token, access_token, expires_in } = JSON.parse(text) as Record<string, unknown>
    const value = token ?? access_token
    const seconds = expires_in ?? tokenSecondsDefault
    if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) throw new Error('there is no token in it')
    if (value.length > secretBytesMax) throw new Error(`the token is longer than ${secretBytesMax} bytes`)
    if (typeof seconds !== 'number' || !(seconds > 0)) throw new Error('it does not say how long the token is good')
    return { value, seconds }
  } catch (error) {
    // A parser's message repeats what it has read.
    const why = error instanceof SyntaxError ? 'it is no JSON object' : messageOf(error)
    throw new CacheError('origin-protocol', `${place}: sent no token: ${why}`)
  }
}
