/**
 * The error of a configuration file, in lines for people. It has a file of its own, so that code that only knows the
 * error does not load the YAML parser.
 */
import { CacheError } from '../../base/errors.ts'

/** Every complaint about a file, a line each: `FILE:LINE:COLUMN: KEY: what is wrong`. */
export class ConfigurationError extends CacheError {
  readonly lines: readonly string[]

  constructor(lines: readonly string[], options?: ErrorOptions) {
    const more = lines.length > 1 ? ` (and ${lines.length - 1} more: see "parentfs check-config")` : ''
    super('invalid-argument', `${lines[0]}${more}`, options)
    this.lines = lines
  }
}
