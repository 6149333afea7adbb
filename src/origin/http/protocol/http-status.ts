/**
 * HTTP statuses: the error code for each. Pure.
 */
import { CacheError, type ErrorCode } from '../../../base/errors.ts'
import { RetryAfterError } from '../../contract/retry-after-error.ts'
import type { HttpAnswer } from './http-body.ts'
import { retryAfterMsOf } from './response-headers.ts'
import { shownError } from './server-error.ts'

/** The purpose of a request: a known image that is gone has changed, an unknown one never was there. */
export type HttpPurpose = 'lookup' | 'read' | 'list'

/** The error for an answer that is not the one hoped for; a TryLater where the server says when to come back. */
export function failureOf(
  answer: Pick<HttpAnswer, 'status' | 'place' | 'headers'> & Partial<Pick<HttpAnswer, 'error'>>,
  purpose: HttpPurpose,
  nowMs: number = Date.now(),
): CacheError {
  const words = answer.error ? ` (${shownError(answer.error)})` : ''
  const code = codeOf(answer.status, purpose)
  const advice =
    code === 'image-changed' ? ': this version is not there any more: list the mount, and open it again' : ''
  const message = `${answer.place}: the server answered ${answer.status}${words}${advice}`
  // Source: RFC 6585 4 (429), RFC 9110 15.6.4 (503).
  const isBusy = answer.status === 429 || answer.status === 503
  const ms = isBusy ? retryAfterMsOf(answer.headers, nowMs) : null
  return ms === null ? new CacheError(code, message) : new RetryAfterError(message, ms)
}

function codeOf(status: number, purpose: HttpPurpose): ErrorCode {
  switch (status) {
    case 404:
    case 410:
      return purpose === 'read' ? 'image-changed' : 'not-found'
    case 412:
    case 416:
      return purpose === 'read' ? 'image-changed' : 'origin-protocol'
    case 401:
    case 403:
      return 'access-denied'
    case 408:
    case 429:
    // Rate limited. Source: Swift 2.30, swift/common/middleware/ratelimit.py.
    case 498:
      return 'origin-failed'
    default:
      return status >= 500 ? 'origin-failed' : 'origin-protocol'
  }
}
