/** An origin that does not answer in time, where the index does in its place. */
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { revalidateMsMax } from './limits.ts'

export function noAnswer(what: string): CacheError {
  return new CacheError('origin-timeout', `${what}: no answer in ${revalidateMsMax} ms`)
}

/** Of an origin that is away there is one line, and it has been written. */
export function logUnanswered(
  logger: Logger,
  facts: { readonly err: unknown; readonly [fact: string]: unknown },
): void {
  const level = isCacheError(facts.err, 'origin-away') ? 'debug' : 'warn'
  logger[level](facts, 'the origin does not answer; the index does')
}
