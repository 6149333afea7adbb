/**
 * Parsers of arguments that several commands share.
 */
import { InvalidArgumentError } from 'commander'
import { messageOf } from '../../base/errors.ts'

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

/** @throws Error when it is not a port of 127.0.0.1 */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) {
    throw new Error(`"${text}" is not a port: give 1 to 65535; its address is always 127.0.0.1`)
  }
  return port
}
