/**
 * Errors of connections and of their parsers, as CacheErrors. Pure.
 */
import { CacheError, type ErrorCode, messageOf } from '../../../base/errors.ts'
import { httpPlaceOf } from './http-url.ts'

/** Codes of Node and undici that mean: there was no connection at all. */
const unreachable: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  // Of a Unix socket.
  'ENOENT',
  'EACCES',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** Codes that mean: a connection was there and broke. */
const broken: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET'])

/** The error for an exchange with `url` that broke. */
export function exchangeErrorOf(url: URL, cause: unknown): CacheError {
  return new CacheError(codeOf(cause), `${httpPlaceOf(url)}: ${messageOf(cause) || codeNameOf(cause)}`, { cause })
}

function codeOf(cause: unknown): ErrorCode {
  const name = codeNameOf(cause)
  if (unreachable.has(name) || name.startsWith('ERR_TLS_') || /CERT/.test(name)) return 'origin-unreachable'
  if (broken.has(name)) return 'origin-failed'
  // A parser's error says so in its name only: its code depends on what was wrong, and may be missing.
  if (name.startsWith('UND_ERR_') || (cause as Error).name === 'HTTPParserError') return 'origin-protocol'
  return 'origin-failed'
}

function codeNameOf(cause: unknown): string {
  // Node tries several addresses of one name and reports them together: the first one speaks for all.
  const error = cause instanceof AggregateError ? cause.errors[0] : cause
  const code = (error as { readonly code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}
