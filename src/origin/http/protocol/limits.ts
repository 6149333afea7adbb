/**
 * Limits of origin/http/protocol/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB } from '../../../base/limits.ts'

/** The longest that a server may have us wait by Retry-After: less than what a miss is waited for. */
export const retryAfterMsMax = 10_000

/**
 * Bytes that a body must bring within `stallMsMax`, or all that is left of it: less is a connection that is as good as
 * dead.
 */
export const dripBytesMin = 4 * KiB

/** Lateness of a timer from which on its process stood still: less is an ordinary iteration of the event loop. */
export const lateTimerMsMin = 100

/**
 * Answers before an answer (1xx), and bytes of them together: a server sends one or two, of some hundred bytes. Must be
 * what native-bindings/http/range-receiver.h says. Source: RFC 9110 15.2.
 */
export const informationsMax = 8

export const informationBytesMax = 16 * 1024

/** Bytes of a refusal's body that are read for the server's own words, and characters of these that messages show. */
export const serverErrorBytesMax = 16 * KiB

export const serverErrorCharsMax = 300

/** Redirects remembered at once: more than images that are read at a time. The oldest goes. */
export const redirectsKeptMax = 1024

/** Time that a redirect is remembered at most: a mirror that is drained says nothing. */
export const redirectKeptMsMax = 3_600_000

/**
 * Time before its end at which a redirect is forgotten, or a quarter of its time: a request under way has to be
 * answered.
 */
export const redirectMarginMsMax = 30_000
