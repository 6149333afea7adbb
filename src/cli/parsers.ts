/**
 * What the definitions of commands have in common.
 */
import { InvalidArgumentError } from 'commander'
import { messageOf } from '../errors.ts'

/** Hears the exit code of a command that ran. */
export type Ended = (exitCode: number) => void

/** A parser whose complaint commander reports together with the option's name. */
export function value<T>(parse: (text: string) => T): (text: string) => T {
  return text => {
    try {
      return parse(text)
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error))
    }
  }
}
