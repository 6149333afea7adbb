/** Bodies of requests and answers of pages: JSON both ways, with the headers that keep an answer to the page. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CacheError, type ErrorCode, isCacheError, messageOf } from '../base/errors.ts'
import { webRequestBytesMax } from './limits.ts'
import { securityHeaders } from './web-files.ts'

export function sendJson(response: ServerResponse, status: number, body: object): void {
  sendJsonText(response, JSON.stringify(body), status)
}

/** @param text JSON */
export function sendJsonText(response: ServerResponse, text: string, status = 200): void {
  const headers = { ...securityHeaders, 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }
  response.writeHead(status, headers).end(`${text}\n`)
}

const statuses: Partial<Readonly<Record<ErrorCode, number>>> = {
  'not-found': 404,
  'access-denied': 403,
  'invalid-argument': 400,
  overloaded: 503,
  closed: 503,
}

/** Answer with an error, or end the answer that was begun. */
export function sendProblem(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy()
  const code = isCacheError(error) ? error.code : 'closed'
  sendJson(response, (isCacheError(error) && statuses[error.code]) || 500, { code, message: messageOf(error) })
}

/** @throws CacheError invalid-argument */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > webRequestBytesMax) throw new CacheError('invalid-argument', 'the request is too long')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
  } catch {
    throw new CacheError('invalid-argument', 'the request is not JSON')
  }
}
