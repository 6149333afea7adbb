/**
 * The errors that every room speaks: a code from a closed list, a sentence, and the cause.
 *
 * Tests and callers look at codes, never at messages. `fuse/errno.ts` alone turns a code into an errno.
 */
import type { CancelSignal } from './cancel-signal.ts'

/** Every code there is, with what it means. */
export const errorCodes = {
  'not-found': 'the origin has no such image',
  'access-denied': 'the origin refuses us',
  'origin-unreachable': 'no connection to the origin',
  'origin-timeout': 'the origin did not answer in time',
  'origin-failed': 'the origin answered with a failure of its own',
  'origin-away': 'the origin has not answered for a while, and is left in peace',
  'origin-protocol': 'the origin answered something that we may not serve',
  'origin-unsupported': 'the origin lacks what an immutable image needs: ranges, or a validator',
  'image-changed': 'the origin no longer has this version of the image',
  'image-too-large': 'the image is larger than anything here can count',
  'image-corrupt': 'the bytes of the image are not those that its publisher names',
  'image-unproven': 'nothing proves the bytes of the image, and its origin requires a proof',
  'too-many-images': 'as many images are known as may be, and none can be let go',
  overloaded: 'a bound on work in flight was reached',
  aborted: 'the caller no longer wants the answer',
  'invalid-argument': 'a setting or an argument is not usable',
  'cache-locked': 'another daemon uses this cache directory',
  'cache-foreign': 'the directory is not a cache of this origin',
  'cache-layout': 'the cache was written by a version that we cannot read',
  'store-failed': 'the data files could not be read or written',
  'index-failed': 'the index could not be read or written',
  'mount-failed': 'the filesystem could not be mounted',
  'mount-busy': 'somebody uses the mount',
  closed: 'this part has been shut down',
} as const

export type ErrorCode = keyof typeof errorCodes

/** An error with a code; the message says what happened, to what, and what to do next. */
export class CacheError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CacheError'
    this.code = code
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text)
}

/** Is `error` a CacheError, with one of `codes` if any are given? */
export function isCacheError(error: unknown, ...codes: readonly ErrorCode[]): error is CacheError {
  return error instanceof CacheError && (codes.length === 0 || codes.includes(error.code))
}

/**
 * True for a failure of an origin that may be gone the next time. All else is an answer: asking again brings the same
 * one.
 */
export function mayPass(error: unknown): boolean {
  return isCacheError(error, 'origin-unreachable', 'origin-timeout', 'origin-failed')
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The error for a signal that has fired. */
export function abortedBy(signal: CancelSignal): CacheError {
  return new CacheError('aborted', 'the reader has gone', { cause: signal.reason })
}

/** Throw `aborted` when `signal` has fired. */
export function throwIfAborted(signal: CancelSignal): void {
  if (signal.aborted) throw abortedBy(signal)
}
