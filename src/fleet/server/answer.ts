/**
 * Answers of the serving port: statuses with a line of text, errors of the cache as statuses, and pieces that a client
 * has to take in time.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { CacheError, type ErrorCode, isCacheError } from '../../base/errors.ts'
import { takeMsMax } from './limits.ts'

/** Lines of text, by status; they tell nothing of what is here. */
const texts: Readonly<Record<number, string>> = {
  304: '',
  307: 'the origin has it\n',
  400: 'that is no request\n',
  401: 'a certificate or a token is needed\n',
  404: 'not here\n',
  405: 'only GET and HEAD\n',
  412: 'another version\n',
  413: 'too long\n',
  416: 'no such range, or several\n',
  421: 'this host asks itself\n',
  502: 'the origin has failed\n',
  503: 'busy: ask another host, or later\n',
}

/** Statuses of errors; all others are 502. */
const statuses: Partial<Readonly<Record<ErrorCode, number>>> = {
  'not-found': 404,
  'access-denied': 404,
  'image-changed': 412,
  'invalid-argument': 400,
  overloaded: 503,
  closed: 503,
  'too-many-images': 503,
  'origin-away': 503,
}

/** The status of whatever was thrown. */
export function statusOfError(error: unknown): number {
  return (isCacheError(error) && statuses[error.code]) || 502
}

/** Answer with a status and its text. Nothing is done where a head has gone. */
export function refuse(response: ServerResponse, status: number, headers: OutgoingHttpHeaders = {}): void {
  if (response.headersSent) return void response.destroy()
  const text = Buffer.from(texts[status] ?? '')
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': text.length, ...headers })
  response.end(response.req.method === 'HEAD' ? undefined : text)
}

/** Answer with JSON or another text. */
export function sendText(response: ServerResponse, text: string, type = 'application/json'): void {
  const bytes = Buffer.from(text)
  response.writeHead(200, { 'content-type': type, 'content-length': bytes.length, 'cache-control': 'no-store' })
  response.end(response.req.method === 'HEAD' ? undefined : bytes)
}

/**
 * Write a piece of a body; resolves when the kernel has it, and `bytes` may be used again.
 * @throws CacheError aborted when the client has gone, or takes nothing for too long
 */
export function writePiece(response: ServerResponse, bytes: Uint8Array, msMax = takeMsMax): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => end(new CacheError('aborted', 'the client has gone'))
    const timer = setTimeout(() => {
      response.destroy()
      gone()
    }, msMax)
    const end = (error: Error | null | undefined) => {
      clearTimeout(timer)
      response.off('close', gone)
      response.req.socket.off('close', gone)
      if (error)
        reject(isCacheError(error) ? error : new CacheError('aborted', 'the client has gone', { cause: error }))
      else resolve()
    }
    response.once('close', gone)
    // A response that never had its socket is not told of its end.
    if (response.destroyed || response.closed || response.req.socket.destroyed) return gone()
    response.req.socket.once('close', gone)
    response.write(bytes, end)
  })
}
