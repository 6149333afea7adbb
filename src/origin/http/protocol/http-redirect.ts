/**
 * Redirects: their targets, and those that are refused: no web server, or from https down to http. Pure.
 */
import { CacheError } from '../../../base/errors.ts'
import { httpPlaceOf } from './http-url.ts'
import { type Headers, headerOf } from './response-headers.ts'

/** Does an answer with this status send us elsewhere? Source: RFC 9110 15.4. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308
}

/**
 * The place that a redirect from `from` leads to.
 * @throws CacheError origin-protocol
 */
export function nextPlace(headers: Headers, from: URL): URL {
  const location = headerOf(headers, 'location')
  const next = location !== null && URL.canParse(location, from.href) ? new URL(location, from) : null
  const refuse = (why: string) => new CacheError('origin-protocol', `${httpPlaceOf(from)}: redirected ${why}`)
  if (next === null) throw refuse('to nowhere')
  if (next.protocol !== 'http:' && next.protocol !== 'https:')
    throw refuse(`to ${next.protocol}, which is no web server`)
  if (from.protocol === 'https:' && next.protocol === 'http:') throw refuse('from https to http, which is not followed')
  return next
}
