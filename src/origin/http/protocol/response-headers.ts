/**
 * Response headers that concern an image: its version, its length, the range that came. Pure.
 *
 * A validator is the text of a strong ETag (`"abc"`), or that of a weak one followed by a space and the date (`W/"abc"
 * Tue, ...`), or the date alone. Source: RFC 9110 8.8 (validators), 13.1 (conditions), 14.4 (Content-Range). Or it is
 * an MD5 without quotes, as Swift writes it. Source: OpenStack Object Storage API, "Get object content and metadata".
 */
import { retryAfterMsMax } from './limits.ts'

/** Headers as undici gives them: lower-case names; a list where a header came more than once. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>

/** The value of a header that came exactly once, else null: two lengths or two validators are no answer to trust. */
export function headerOf(headers: Headers, name: string): string | null {
  const value = headers[name]
  return typeof value === 'string' ? value : null
}

/** Content-Length in bytes, or null where there is none that makes sense. */
export function contentLengthOf(headers: Headers): number | null {
  return decimal(headerOf(headers, 'content-length'))
}

/** Is the body encoded, so that its bytes are not the image's? */
export function isEncoded(headers: Headers): boolean {
  const encoding = headers['content-encoding']
  return encoding !== undefined && encoding !== '' && encoding !== 'identity'
}

/** Content-Range: the first and last byte that came and the size of the whole, null where it is not told. */
export interface ContentRange {
  readonly first: number
  readonly last: number
  readonly sizeBytes: number | null
}

/** Content-Range of a 206, or null where it cannot be understood. */
export function contentRangeOf(headers: Headers): ContentRange | null {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(headerOf(headers, 'content-range') ?? '')
  if (match === null) return null
  const first = decimal(match[1]!)
  const last = decimal(match[2]!)
  const sizeBytes = decimal(match[3]!)
  if (first === null || last === null || (sizeBytes === null && match[3] !== '*')) return null
  return { first, last, sizeBytes }
}

/** Is this the Content-Range of bytes `first` to `last` of so many, or of an untold number? */
export function isRange(headers: Headers, first: number, last: number, sizeBytes: number): boolean {
  // As nearly all servers write it.
  if (headers['content-range'] === `bytes ${first}-${last}/${sizeBytes}`) return true
  const range = contentRangeOf(headers)
  return range?.first === first && range.last === last && (range.sizeBytes ?? sizeBytes) === sizeBytes
}

/**
 * The validator of an answer, or null where nothing in it can be used in a condition.
 * @param acceptsBare the server writes strong ETags without quotes
 */
export function validatorOf(headers: Headers, { acceptsBare = false } = {}): string | null {
  const etag = headerOf(headers, 'etag')
  if (etag !== null && isStrong(etag) && (acceptsBare || !isBare(etag))) return etag
  const date = dateOf(headers)
  if (date === null) return null
  return etag !== null && isWeak(etag) ? `${etag} ${date}` : date
}

/** Last-Modified in milliseconds since 1970; 0 where there is none. */
export function modifiedMsOf(headers: Headers): number {
  const date = dateOf(headers)
  return date === null ? 0 : Date.parse(date)
}

/**
 * The age of an answer's version when that was made, in milliseconds, by the server's own clock where it tells that;
 * null where the answer has no Last-Modified. Source: RFC 9110 6.6.1 (Date), 8.8.2 (Last-Modified).
 */
export function ageMsOf(headers: Headers, nowMs: number): number | null {
  const modified = dateOf(headers)
  if (modified === null) return null
  const serverMs = Date.parse(headerOf(headers, 'date') ?? '')
  return (Number.isFinite(serverMs) ? serverMs : nowMs) - Date.parse(modified)
}

/** The header that makes a server refuse (412) when its version is not `validator`. */
export function conditionOf(validator: string): Record<string, string> {
  if (isStrong(validator)) return { 'if-match': isBare(validator) ? `"${validator}"` : validator }
  return { 'if-unmodified-since': isWeak(validator) ? validator.replace(/^W\/"[^"]*" /, '') : validator }
}

/**
 * The values of ETag and Last-Modified by which an answer shows, without a doubt, that its version is `validator`; a
 * null one need not come. Null where none would show it.
 */
export function versionHeadersOf(
  validator: string,
): { readonly etag: string | null; readonly lastModified: string | null } | null {
  if (isStrong(validator)) return { etag: validator, lastModified: null }
  if (!isWeak(validator)) return { etag: null, lastModified: validator }
  const [, etag, lastModified] = /^(W\/"[^"]*") (.+)$/.exec(validator) ?? []
  return etag === undefined || lastModified === undefined ? null : { etag, lastModified }
}

/** Is the version of this answer `validator`? `missing` when the answer does not say. */
export function compareValidator(headers: Headers, validator: string): 'same' | 'other' | 'missing' {
  const etag = headerOf(headers, 'etag')
  if (isStrong(validator)) {
    if (etag === null) return 'missing'
    return etag === validator ? 'same' : 'other'
  }
  // It was a date when it became one.
  if (!isWeak(validator) && headers['last-modified'] === validator) return 'same'
  const date = dateOf(headers)
  if (!isWeak(validator)) return date === null ? 'missing' : date === validator ? 'same' : 'other'
  if (etag === null || date === null) return 'missing'
  return `${etag} ${date}` === validator ? 'same' : 'other'
}

/**
 * Retry-After in milliseconds from now, bounded by `retryAfterMsMax`; null where there is none that makes sense. A date
 * is taken relative to the server's own, where it tells that. Source: RFC 9110 10.2.3.
 */
export function retryAfterMsOf(headers: Headers, nowMs: number): number | null {
  const text = headerOf(headers, 'retry-after')?.trim() ?? ''
  if (/^\d+$/.test(text)) return Math.min(retryAfterMsMax, Number(text) * 1000)
  if (!text.endsWith('GMT')) return null
  const serverMs = Date.parse(headerOf(headers, 'date') ?? '')
  const ms = Date.parse(text) - (Number.isFinite(serverMs) ? serverMs : nowMs)
  return Number.isNaN(ms) ? null : Math.min(retryAfterMsMax, Math.max(0, ms))
}

function dateOf(headers: Headers): string | null {
  const date = headerOf(headers, 'last-modified')
  return date !== null && Number.isFinite(Date.parse(date)) ? date : null
}

function isStrong(etag: string): boolean {
  return /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) || isBare(etag)
}

/** An MD5, or that of a number of parts. */
function isBare(etag: string): boolean {
  return /^[0-9a-f]{32}(-\d+)?$/.test(etag)
}

function isWeak(text: string): boolean {
  return text.startsWith('W/"')
}

function decimal(text: string | null): number | null {
  if (text === null || !/^\d+$/.test(text)) return null
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : null
}
