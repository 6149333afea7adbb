/**
 * The Authorizer interface: the head that lets a request in, be it made of secrets, a signature or a token.
 *
 * The head of a range does not depend on the range: it is made once for an image, holds for a time, and native threads
 * may repeat it until then.
 */
import type { Headers } from './protocol/response-headers.ts'
import type { ServerError } from './protocol/server-error.ts'

export interface AuthorizedRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH'
  readonly url: URL
}

/** A head: what is sent beside the request's own headers and query. */
export interface Authorization {
  /** By name in small letters. */
  readonly headers: Readonly<Record<string, string>>
  /** Added to the URL's query, encoded; empty: nothing. Never in a message. */
  readonly query: string
  /** The time for which it may be sent again as it is, in milliseconds. */
  readonly freshMs: number
}

export interface Authorizer {
  /** Statuses of answers that {@link refused} is to hear of. */
  readonly refusals: ReadonlySet<number>
  /**
   * The head for a request, made anew before it ends.
   * @throws CacheError access-denied when what it is made of is not there; origin-* when a service that gives it fails
   */
  authorize(request: AuthorizedRequest): Promise<Authorization>
  /**
   * The server refuses a request; its answer's headers (its Date among them) may say why.
   * @returns true when there is another head to send now
   */
  refused(request: AuthorizedRequest, sent: Authorization, answer: RefusedAnswer): Promise<boolean>
}

export interface RefusedAnswer {
  readonly status: number
  readonly headers: Headers
  /** The server's own words, where the client reads them. */
  readonly error: ServerError | null
}

/** The usual answers to a head that is not, or no longer, good. */
export const usualRefusals: ReadonlySet<number> = new Set([401, 403])
