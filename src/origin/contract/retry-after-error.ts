/**
 * A failure that says when it is worth trying again.
 */
import { CacheError } from '../../base/errors.ts'

export class RetryAfterError extends CacheError {
  /** Milliseconds from now, bounded by `retryAfterMsMax`. */
  readonly ms: number

  constructor(message: string, ms: number) {
    super('origin-failed', message)
    this.ms = ms
  }
}
