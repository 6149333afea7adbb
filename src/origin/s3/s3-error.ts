/**
 * Errors of S3: the code, the message and the region in the XML of a refusal. Pure.
 */
import type { ServerError } from '../http/protocol/server-error.ts'
import { regionCharsMax } from './limits.ts'
import { xmlLeavesOf } from './xml.ts'

/** Codes that say that the keys are not, or no longer, good. Source: Amazon S3 API Reference, "Error responses". */
export const keyErrors: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
])

/** The error in the body of a refusal; null: it has none. */
export function s3ErrorIn(body: string): ServerError | null {
  const found = new Map<string, string>()
  try {
    for (const { path, text } of xmlLeavesOf(body)) found.set(path.replace(/^(?:ErrorResponse\/)?Error\//, ''), text)
  } catch {
    // What came before it went wrong counts.
  }
  const code = found.get('Code')
  if (code === undefined || !/^[\w.-]{1,100}$/.test(code)) return null
  const region = found.get('Region') ?? null
  return { code, message: found.get('Message') ?? '', region: region !== null && isRegion(region) ? region : null }
}

/** Could that be the name of a region, which becomes a part of a host's name? */
export function isRegion(text: string): boolean {
  return text.length <= regionCharsMax && /^[A-Za-z0-9][A-Za-z0-9-]*$/.test(text)
}
