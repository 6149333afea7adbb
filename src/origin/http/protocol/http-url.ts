/**
 * URLs of web origins, taken apart and fit for messages. Pure.
 */

import { isIP } from 'node:net'
import { CacheError } from '../../../base/errors.ts'
import { withoutCredentials } from '../../contract/url-credentials.ts'

export interface HttpBase {
  /** Without credentials, its path ending in a slash. */
  readonly base: URL
  /** The Authorization header for the credentials it had, or null. */
  readonly authorization: string | null
}

/**
 * @param url `http(s)://[user:password@]host[:port]/directory/`
 * @throws CacheError invalid-argument
 */
export function baseOf(url: string): HttpBase {
  const base = URL.canParse(url) ? new URL(url) : null
  if (base === null || (base.protocol !== 'http:' && base.protocol !== 'https:')) {
    throw new CacheError('invalid-argument', `${withoutCredentials(url)}: not the URL of a web server`)
  }
  const authorization = authorizationOf(base)
  base.username = ''
  base.password = ''
  if (base.search !== '' || base.hash !== '') {
    throw new CacheError('invalid-argument', `${base.origin}${base.pathname}: an origin has no query and no fragment`)
  }
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  return { base, authorization }
}

/** Facts about a URL that are needed again and again, each time of which Node would put it together anew. */
export interface UrlFacts {
  readonly origin: string
  /** As messages may show it: without credentials, query and fragment. */
  readonly place: string
  /** Does its path end in a slash? */
  readonly isDirectory: boolean
  /** The first lines of a request for it, their ends included. */
  readonly request: string
}

const known = new WeakMap<URL, UrlFacts>()

/** @param url it does not change any more */
export function factsOf(url: URL): UrlFacts {
  const before = known.get(url)
  if (before) return before
  const { origin, pathname, search, host } = url
  const request = `GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n`
  const facts = { origin, place: origin + pathname, isDirectory: pathname.endsWith('/'), request }
  known.set(url, facts)
  return facts
}

/** URLs with a secret query, each made once for as long as its query stays the same. */
export class QueriedUrls {
  readonly #known = new WeakMap<URL, { readonly query: string; readonly url: URL }>()

  /** @param query encoded, without its question mark */
  with(url: URL, query: string): URL {
    const before = this.#known.get(url)
    if (before?.query === query) return before.url
    const whole = new URL(url)
    whole.search = whole.search === '' ? query : `${whole.search}&${query}`
    this.#known.set(url, { query, url: whole })
    return whole
  }
}

/** A URL as messages may show it: without credentials, query and fragment. */
export function httpPlaceOf(url: URL): string {
  return factsOf(url).place
}

/** The host of a URL: an address without brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** Is it an address of this machine's own, or its usual name? An IPv6 address may be in brackets. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '')
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

/** Its port, be it written or not. */
export function portOf(url: URL): string {
  return url.port || (url.protocol === 'https:' ? '443' : '80')
}

/** The Authorization header for the credentials of a URL; null: it has none. */
export function authorizationOf({ username, password }: URL): string | null {
  if (username === '' && password === '') return null
  const pair = `${unescaped(username)}:${unescaped(password)}`
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

/** Percent-decoding, where it is that: a lone `%` in a password stays what it is. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
