/**
 * Login at Keystone (v3) with a password or an application credential: the token, its time, and the catalog.
 *
 * The request is a POST, which is not redirected, so the password goes to the configured host alone.
 * Source: OpenStack Identity API v3, "Password authentication with scoped authorization", "Authenticating with an
 * Application Credential".
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import { printable } from '../../base/printable.ts'
import type { HttpClient } from '../http/http-client.ts'
import { receiveText } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { headerOf } from '../http/protocol/response-headers.ts'
import type { Secret } from '../http/secret.ts'
import { loginBytesMax, tokenMsDefault, wordsCharsMax } from './limits.ts'
import { catalogOf, textIn } from './service-catalog.ts'
import type { TokenLogin } from './token-authorizer.ts'

/** A user, project or domain, by one of the two. */
export type Named = { readonly id: string } | { readonly name: string }

/** The identity to log in with. */
export type KeystoneIdentity =
  | {
      readonly user: Named
      readonly userDomain: Named
      readonly password: Secret
      readonly project: Named
      readonly projectDomain: Named
    }
  | { readonly applicationCredentialId: string; readonly secret: Secret }

/**
 * Log in; once more where Keystone refuses the secret and its source has another by now.
 * @param authUrl such as `https://host:5000/v3`
 * @throws CacheError access-denied, origin-*
 */
export async function keystoneLogin(
  client: HttpClient,
  authUrl: string,
  identity: KeystoneIdentity,
  signal: CancelSignal,
): Promise<TokenLogin> {
  const source = 'password' in identity ? identity.password : identity.secret
  const secret = await source.value()
  const login = await ask(client, authUrl, bodyOf(identity, secret), signal)
  if (!(login instanceof CacheError)) return login
  const another = await source.renew()
  const again = another === secret ? login : await ask(client, authUrl, bodyOf(identity, another), signal)
  if (again instanceof CacheError) throw again
  return again
}

function bodyOf(identity: KeystoneIdentity, secret: string): string {
  if ('applicationCredentialId' in identity) {
    const credential = { id: identity.applicationCredentialId, secret }
    return JSON.stringify({
      auth: { identity: { methods: ['application_credential'], application_credential: credential } },
    })
  }
  const { user, userDomain, project, projectDomain } = identity
  const inDomain = (named: Named, domain: Named) => ('id' in named ? named : { ...named, domain })
  const password = { user: { ...inDomain(user, userDomain), password: secret } }
  const scope = { project: inDomain(project, projectDomain) }
  return JSON.stringify({ auth: { identity: { methods: ['password'], password }, scope } })
}

/** @returns the error instead where Keystone refuses the secret */
function ask(
  client: HttpClient,
  authUrl: string,
  body: string,
  signal: CancelSignal,
): Promise<TokenLogin | CacheError> {
  const url = new URL(`${authUrl.replace(/\/+$/, '')}/auth/tokens`)
  const headers = { 'content-type': 'application/json', accept: 'application/json' }
  return client.exchange({ method: 'POST', url, headers, body }, signal, async (answer, watch) => {
    const text = (await receiveText(answer, loginBytesMax, watch)) ?? ''
    const parsed = parse(text)
    if (answer.status === 401) {
      return new CacheError('access-denied', `${answer.place}: Keystone refuses the login${wordsOf(parsed)}`)
    }
    if (answer.status !== 201) throw failureOf(answer, 'list')
    const token = headerOf(answer.headers, 'x-subject-token')
    const given = (parsed as { readonly token?: unknown } | null)?.token
    if (token === null || given === undefined) {
      throw new CacheError('origin-protocol', `${answer.place}: not the answer to a login`)
    }
    return { token, lifetimeMs: lifetimeMsOf(given, headerOf(answer.headers, 'date')), catalog: catalogOf(given) }
  })
}

/** By the server's own clock, where it tells that: ours may be off. */
function lifetimeMsOf(token: unknown, date: string | null): number {
  const endMs = Date.parse(textIn(token, 'expires_at') ?? '')
  const nowMs = Date.parse(date ?? '') || Date.parse(textIn(token, 'issued_at') ?? '') || Date.now()
  return Number.isNaN(endMs) ? tokenMsDefault : Math.max(0, endMs - nowMs)
}

/** Keystone's own words. */
function wordsOf(parsed: unknown): string {
  const words = textIn((parsed as { readonly error?: unknown } | null)?.error, 'message')
  return words === null ? '' : `: ${printable(words).slice(0, wordsCharsMax)}`
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
