/**
 * Stray rejections: lmdb emits them beside those of our own writes when a commit fails, and no caller can hold them.
 * One is for a write inside the transaction, one for the commit itself. Whoever awaits the write has been told.
 *
 * Source: lmdb 3.5, write.js: `rejectCommit` makes an Error with a `commitError`, which is a promise that is rejected
 * with the reason; the reason's `code` is the number of the errno.
 */
import { valueWithin } from '../../async/with-timeout.ts'

/** Is `error` one of them? */
export function isStrayRejection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { commitError, code } = error as Error & { readonly commitError?: unknown; readonly code?: unknown }
  return commitError !== undefined || (typeof code === 'number' && /[\\/]lmdb[\\/]/.test(error.stack ?? ''))
}

/** Why a write failed: for a failed commit what the system said, else `error` itself. */
export async function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = (error ?? {}) as { readonly commitError?: unknown }
  if (!(commitError instanceof Promise)) return error
  // The reason comes a few turns later; without it, what we have must do.
  const reason: Promise<unknown> = commitError.catch(reason => reason)
  return valueWithin(reasonMsMax, reason, () => error)
}

const reasonMsMax = 1_000
