/**
 * The digest that a web server publishes of an image: in its headers, or in the files beside it.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { digestFileBytesMax } from '../../base/limits.ts'
import { type Digest, digestAlgorithms, digestBeside, hexLength } from '../contract/digest.ts'
import { isImageName } from '../contract/image-name.ts'
import type { HttpClient } from './http-client.ts'
import { type HttpAnswer, receiveText } from './protocol/http-body.ts'
import { failureOf } from './protocol/http-status.ts'
import { compareValidator, conditionOf, type Headers, headerOf, isEncoded } from './protocol/response-headers.ts'

/** A server may know HEAD for none of its files. */
const unknownMethod = new Set([405, 501])
/** Statuses for a file that is not there, or not for us. */
const missing = new Set([403, 404, 410])

/**
 * @param place of a name in the origin's directory
 * @param own the digest in the headers of the image's own answers
 * @returns null where none is published
 * @throws CacheError image-changed when the server has another version now; origin-*
 */
export async function httpDigest(
  image: Image,
  client: HttpClient,
  place: (name: string) => URL,
  signal: CancelSignal,
  own: (headers: Headers) => Digest | null = digestOfHeaders,
): Promise<Digest | null> {
  const digest = await inHeaders(image, client, place(image.key), signal, own)
  if (digest !== null) return digest
  const beside = await digestBeside(image.key, file => textOf(client, file, place, signal))
  // A file of sums is about the version that was there all the while.
  if (beside !== null) await inHeaders(image, client, place(image.key), signal, own)
  return beside
}

/** Of a HEAD, or of the first byte where the server knows no HEAD: a digest is that of the whole either way. */
async function inHeaders(
  image: Image,
  client: HttpClient,
  url: URL,
  signal: CancelSignal,
  own: (headers: Headers) => Digest | null,
): Promise<Digest | null> {
  const headers = { 'want-repr-digest': 'sha-512=2, sha-256=1', ...conditionOf(image.validator) }
  const judge = (answer: HttpAnswer, status: number) => {
    if (answer.status !== status) throw failureOf(answer, 'read')
    if (compareValidator(answer.headers, image.validator) === 'other') {
      throw new CacheError('image-changed', `${answer.place}: is no longer version ${image.validator}`)
    }
    return isEncoded(answer.headers) ? null : own(answer.headers)
  }
  const asked = await client.exchange({ method: 'HEAD', url, headers }, signal, async answer =>
    unknownMethod.has(answer.status) ? 'unknown' : judge(answer, 200),
  )
  if (asked !== 'unknown') return asked
  if (image.sizeBytes === 0) return null
  const range = { ...headers, range: 'bytes=0-0' }
  return await client.exchange({ method: 'GET', url, headers: range }, signal, async answer =>
    judge(answer, answer.status === 200 ? 200 : 206),
  )
}

async function textOf(
  client: HttpClient,
  file: string,
  place: (name: string) => URL,
  signal: CancelSignal,
): Promise<string | null> {
  if (!isImageName(file)) return null
  return await client.exchange({ method: 'GET', url: place(file), headers: {} }, signal, async (answer, watch) => {
    if (missing.has(answer.status)) return null
    if (answer.status !== 200) throw failureOf(answer, 'list')
    return await receiveText(answer, digestFileBytesMax, watch)
  })
}

/** The strongest digest that headers give, or null. The body must not be encoded. */
export function digestOfHeaders(headers: Headers): Digest | null {
  const found = new Map<string, string>()
  const put = (algorithm: string, base64: string) =>
    found.set(algorithm.toLowerCase(), Buffer.from(base64, 'base64').toString('hex'))
  const older = /(?:^|,)\s*(sha-256|sha-512)\s*=\s*([A-Za-z0-9+/]+=*)\s*(?=,|$)/gi
  for (const [, algorithm, base64] of (headerOf(headers, 'digest') ?? '').matchAll(older)) put(algorithm!, base64!)
  const newer = /(?:^|,)\s*(sha-256|sha-512)\s*=\s*:([A-Za-z0-9+/]+=*):/gi
  for (const [, algorithm, base64] of (headerOf(headers, 'repr-digest') ?? '').matchAll(newer)) put(algorithm!, base64!)
  for (const algorithm of digestAlgorithms) {
    const hex = found.get(algorithm)
    if (hex?.length === hexLength[algorithm]) return { algorithm, hex }
  }
  return null
}
