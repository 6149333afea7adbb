/**
 * An origin that sends no ranges of an image: it can be read from the front alone.
 */
import { CacheError } from '../../base/errors.ts'

export class NoRangesError extends CacheError {
  constructor(message: string) {
    super('origin-protocol', message)
  }
}
