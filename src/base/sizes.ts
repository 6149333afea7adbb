/**
 * Parses and prints sizes and durations, strictly: a text that is not understood whole is an error, never a guess.
 *
 * Units of size are binary whether the `i` is written or not: `10G`, `10GB` and `10GiB` are the same number of bytes. A
 * disk cache that is 7 % smaller than its owner believed does no harm; one that is larger would.
 */
import ms, { type StringValue } from 'ms'
import { CacheError } from './errors.ts'

const unitBytes: Readonly<Record<string, number>> = {
  '': 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
  P: 1024 ** 5,
}

/**
 * Bytes of `10GiB`, `10G`, `1.5 TiB`, `500MB`, `4096`, `4096B`. Letters may be of either case.
 * @throws CacheError invalid-argument: not a size, negative, not a whole number of bytes, or over 2^53
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([KMGTP])(?:i?B)?|B)?$/i.exec(text.trim())
  if (!match) throw new CacheError('invalid-argument', `"${text}" is not a size: write it like 500MiB, 10GiB or 4096`)
  const bytes = Number(match[1]) * unitBytes[(match[2] ?? '').toUpperCase()]!
  if (!Number.isSafeInteger(bytes)) {
    throw new CacheError('invalid-argument', `"${text}" is not a whole number of bytes below 2^53`)
  }
  return bytes
}

/**
 * The byte range `FROM-TO`, TO excluded, of `0-1GiB`, `1GiB-1536MiB`, or `10GiB-` up to the end.
 * @throws CacheError invalid-argument: not a range, or an empty one
 */
export function parseRange(text: string): { readonly from: number; readonly to: number } {
  const [from, to, more] = text.split('-').map(part => part.trim())
  if (!from || to === undefined || more !== undefined) {
    throw new CacheError('invalid-argument', `"${text}" is not a range: write it like 0-1GiB, or 10GiB- up to the end`)
  }
  const range = { from: parseSize(from), to: to === '' ? Number.MAX_SAFE_INTEGER : parseSize(to) }
  if (range.from >= range.to)
    throw new CacheError('invalid-argument', `"${text}" is an empty range: put the lower end first`)
  return range
}

/**
 * Milliseconds of `500ms`, `1.5s`, `2 minutes`, `1d`. A bare number has no unit and is refused.
 * @throws CacheError invalid-argument: not a duration, or negative
 */
export function parseDuration(text: string): number {
  const trimmed = text.trim()
  const durationMs = /^\d+(?:\.\d+)?\s*[a-z]+$/i.test(trimmed) ? ms(trimmed as StringValue) : undefined
  if (durationMs === undefined || !Number.isFinite(durationMs)) {
    throw new CacheError('invalid-argument', `"${text}" is not a duration: write it like 500ms, 30s or 5m`)
  }
  return durationMs
}

const units = ['', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** A size as it is written: `64KiB`. {@link parseSize} reads the same number back. */
export function formatSize(bytes: number): string {
  let power = 0
  while (power < units.length - 1 && bytes !== 0 && bytes % 1024 ** (power + 1) === 0) power++
  return `${bytes / 1024 ** power}${units[power]}`
}

/** A duration as it is written: `1m`. {@link parseDuration} reads the same number back. */
export function formatDuration(ms: number): string {
  if (ms === 0 || ms % 1000 !== 0) return `${ms}ms`
  for (const [unit, unitMs] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
  ] as const) {
    if (ms % unitMs === 0) return `${ms / unitMs}${unit}`
  }
  return `${ms / 1000}s`
}
