/**
 * What the status of an answer means to us. Pure.
 */
import { CacheError, type ErrorCode } from '../errors.ts'
import type { HttpAnswer } from './http-body.ts'

/** What was asked: a known image that is gone has changed, an unknown one never was there. */
export type HttpPurpose = 'lookup' | 'read' | 'list'

/** The error for an answer that is not the one hoped for. */
export function failureOf(answer: Pick<HttpAnswer, 'status' | 'place'>, purpose: HttpPurpose): CacheError {
  return new CacheError(codeOf(answer.status, purpose), `${answer.place}: the server answered ${answer.status}`)
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
      return 'origin-failed'
    default:
      return status >= 500 ? 'origin-failed' : 'origin-protocol'
  }
}
