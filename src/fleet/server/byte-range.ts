/**
 * Byte ranges and conditions of a request for an image. Pure.
 *
 * One range a request: several are answered 416, which clients follow by asking for each. Every entity tag is strong,
 * the id of the image. Source: RFC 9110, sections 13 and 14.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { entityTag } from '../wire/wire.ts'

/** The answer that the head of a request asks for. */
export type RangeVerdict =
  | { readonly status: 200 | 206; readonly offset: number; readonly length: number }
  | { readonly status: 304 | 412 | 416 }

/** The status and the bytes for a request with these headers. @param isHead ranges are left out then */
export function judgeRange(
  headers: IncomingHttpHeaders,
  { id, sizeBytes }: { readonly id: string; readonly sizeBytes: number },
  isHead = false,
): RangeVerdict {
  const tag = entityTag(id)
  const whole = { status: 200, offset: 0, length: sizeBytes } as const
  const ifMatch = headers['if-match']
  if (ifMatch !== undefined && !hasTag(ifMatch, tag, false)) return { status: 412 }
  const ifNoneMatch = headers['if-none-match']
  if (ifNoneMatch !== undefined && hasTag(ifNoneMatch, tag, true)) return { status: 304 }
  const { range } = headers
  const ifRange = headers['if-range']
  if (isHead || range === undefined || (ifRange !== undefined && ifRange !== tag)) return whole
  const parsed = parseByteRange(range, sizeBytes)
  if (parsed === 'ignored') return whole
  return parsed === null ? { status: 416 } : { status: 206, ...parsed }
}

/**
 * The bytes of a Range header.
 * @returns null when none of them exists, or there are several; `ignored` for another unit or a malformed text
 */
export function parseByteRange(text: string, sizeBytes: number) {
  if (!/^bytes=/i.test(text)) return 'ignored'
  const spec = text.slice('bytes='.length).trim()
  if (/^[\d\s,-]+$/.test(spec) && spec.includes(',')) return null
  const match = /^(\d{0,16})-(\d{0,16})$/.exec(spec)
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? '']
  if (!match || (first === '' && last === '')) return 'ignored'
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes)
    return length === 0 ? null : { offset: sizeBytes - length, length }
  }
  const offset = Number(first)
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)
  if (last !== '' && Number(last) < offset) return 'ignored'
  return offset >= sizeBytes ? null : { offset, length: end - offset }
}

/** Is the tag in the list? @param weakly a weak tag counts, too */
function hasTag(list: string, tag: string, weakly: boolean): boolean {
  return list.split(',').some(part => {
    const own = part.trim()
    return own === '*' || own === tag || (weakly && own === `W/${tag}`)
  })
}
