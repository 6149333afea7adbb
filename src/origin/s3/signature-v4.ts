/**
 * Signature Version 4: the Authorization header of a request, from its method, URL and headers. Pure.
 *
 * Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request"; for S3, whose paths are
 * encoded once, Amazon S3 API Reference, "Signature Calculations for the Authorization Header".
 */
import { createHash, createHmac } from 'node:crypto'

/** In place of a digest of the body, which a GET has not. */
export const unsignedPayload = 'UNSIGNED-PAYLOAD'

export interface SigningKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface RequestToSign {
  readonly method: string
  /** Its path and query are encoded as they are sent, every name with an `=`. */
  readonly url: URL
  /** All headers that are signed but Host, by name in small letters, their values trimmed. */
  readonly headers: Readonly<Record<string, string>>
  /** SHA-256 of the body in hex, or {@link unsignedPayload}. */
  readonly payload: string
}

export interface SigningScope {
  readonly region: string
  readonly service: string
  /** Seconds in UTC: `20150830T123600Z`. */
  readonly time: string
}

/** The value of the Authorization header. */
export function authorizationFor(request: RequestToSign, scope: SigningScope, keys: SigningKeys): string {
  const headers = Object.entries({ host: request.url.host, ...request.headers }).sort(byName)
  const names = headers.map(([name]) => name).join(';')
  const lines = headers.map(([name, value]) => `${name}:${value}\n`).join('')
  const { pathname, search } = request.url
  const canonical = [request.method, pathname, canonicalQueryOf(search), lines, names, request.payload].join('\n')
  const day = scope.time.slice(0, 8)
  const place = `${day}/${scope.region}/${scope.service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', scope.time, place, sha256(canonical)].join('\n')
  const key = [day, scope.region, scope.service, 'aws4_request'].reduce(
    (secret: Buffer | string, part) => hmac(secret, part),
    `AWS4${keys.secretAccessKey}`,
  )
  const signature = hmac(key, text).toString('hex')
  return `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${place}, SignedHeaders=${names}, Signature=${signature}`
}

/** The time as it is signed. */
export function signingTimeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '')
}

function canonicalQueryOf(search: string): string {
  const pairs = search.slice(1).split('&').filter(Boolean)
  return pairs
    .map(pair => (pair.includes('=') ? pair : `${pair}=`).split('=') as [string, string])
    .sort((a, b) => byName(a, b) || byText(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return byText(a, b)
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
