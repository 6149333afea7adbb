/**
 * Handler of one kind of request: decodes it, asks the filesystem, encodes the reply.
 */
import type { PendingRequest } from './pending-request.ts'
import type { RequestReader } from './request-reader.ts'

export interface Answer {
  /** The bytes after the header of the reply. */
  readonly bytes: Uint8Array | null
  /** Takes back what the kernel was going to be told, when it no longer listens: it will neither FORGET nor RELEASE. */
  readonly undo: (() => void) | null
}

/** The body follows the header that the call already has. Reads all it needs of `body` before it waits for anything. */
export type RequestHandler = (call: PendingRequest, body: RequestReader) => Answer | Promise<Answer>

export type RequestHandlers = ReadonlyMap<number, RequestHandler>

export const emptyAnswer: Answer = { bytes: null, undo: null }

export function answerOf(bytes: Uint8Array): Answer {
  return { bytes, undo: null }
}
