/**
 * Server errors: the code and the words by which a server explains its refusal in the body of an answer. Pure.
 */
import { printable } from '../../../base/printable.ts'
import { serverErrorCharsMax } from './limits.ts'

export interface ServerError {
  /** The server's own name for it, such as `NoSuchKey`. */
  readonly code: string
  /** One sentence; empty: none. */
  readonly message: string
  /** The region that should have been asked, where the protocol has regions and the server tells it. */
  readonly region: string | null
}

/** Finds the error in the beginning of a body; null: there is none. */
export type ServerErrorReader = (body: string) => ServerError | null

/** As messages show it: one line of bounded length. */
export function shownError({ code, message }: ServerError): string {
  return printable(message === '' ? code : `${code}: ${message}`).slice(0, serverErrorCharsMax)
}
