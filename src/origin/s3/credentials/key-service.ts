/**
 * Exchanges with services that give keys, on this machine or beside it: bounded, without proxies and redirects.
 */
import { request as requestOverHttp } from 'node:http'
import { request as requestOverTls } from 'node:https'
import { CacheError, messageOf } from '../../../base/errors.ts'
import { keysBytesMax } from './limits.ts'

export interface KeyServiceRequest {
  readonly method: 'GET' | 'PUT'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** For all of the exchange. */
  readonly msMax: number
}

/**
 * The text of its answer.
 * @throws CacheError access-denied when it refuses (4xx), origin-failed, origin-unreachable, origin-timeout
 */
export function askKeyService({ method, url, headers, msMax }: KeyServiceRequest): Promise<string> {
  const place = `${url.origin}${url.pathname}`
  return new Promise((resolve, reject) => {
    const fail = (code: 'access-denied' | 'origin-failed' | 'origin-unreachable' | 'origin-timeout', why: string) => {
      clearTimeout(timer)
      request.destroy()
      reject(new CacheError(code, `${place}: ${why}`))
    }
    const timer = setTimeout(() => fail('origin-timeout', `no answer in ${msMax} ms`), msMax)
    const send = url.protocol === 'https:' ? requestOverTls : requestOverHttp
    const request = send(url, { method, headers, agent: false }, answer => {
      const { statusCode = 0 } = answer
      const chunks: Buffer[] = []
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > keysBytesMax) return fail('origin-failed', `it sent more than ${keysBytesMax} bytes`)
        chunks.push(chunk)
      })
      answer.once('error', error => fail('origin-failed', messageOf(error)))
      answer.once('end', () => {
        if (statusCode !== 200) {
          return fail(statusCode >= 500 ? 'origin-failed' : 'access-denied', `it answered ${statusCode}`)
        }
        clearTimeout(timer)
        resolve(Buffer.concat(chunks).toString('utf8'))
      })
    })
    request.on('error', error => fail('origin-unreachable', messageOf(error)))
    request.end()
  })
}
