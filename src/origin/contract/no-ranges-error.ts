/**
 * An origin that sends no ranges of an image: it can be read from the front alone.
 */
import { CacheError } from '../../base/errors.ts'

export class NoRangesError extends CacheError {
  /** True for all of its images; else one answer may have been a mistake, and a lookup knows. */
  readonly isSure: boolean

  constructor(message: string, isSure = false) {
    super('origin-protocol', message)
    this.isSure = isSure
  }
}
