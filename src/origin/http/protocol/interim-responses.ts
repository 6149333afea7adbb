/**
 * Interim responses (1xx): a bound on their number, and on their bytes together. A server could send them for ever, and
 * each is work. Source: RFC 9110 15.2.
 */
import { CacheError } from '../../../base/errors.ts'
import { informationBytesMax, informationsMax } from './limits.ts'

/** The error for more of them. */
export function tooManyInterimResponses(): CacheError {
  return new CacheError(
    'origin-protocol',
    `the server sent over ${informationsMax} answers, or over ${informationBytesMax} bytes of them, before the answer`,
  )
}

/** Those before one answer. */
export class InterimResponses {
  #count = 0
  #bytes = 0

  /** Another one, of so many bytes. @throws CacheError origin-protocol when that is too much */
  add(bytes: number): void {
    this.#count++
    this.#bytes += bytes
    if (this.#count > informationsMax || this.#bytes > informationBytesMax) throw tooManyInterimResponses()
  }
}
