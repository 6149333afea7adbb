/**
 * Digests of objects in S3: in the headers of their answers, beside the digests that lie beside them.
 */
import type { Digest } from '../contract/digest.ts'
import { hexLength } from '../contract/digest.ts'
import { type Headers, headerOf } from '../http/protocol/response-headers.ts'

/**
 * SHA-256 of the whole object, where it was uploaded with that; null: none.
 * Source: Amazon S3 User Guide, "Checking object integrity": a checksum of checksums of parts ends in `-PARTS`.
 */
export function checksumIn(headers: Headers): Digest | null {
  const hex = Buffer.from(headerOf(headers, 'x-amz-checksum-sha256') ?? '', 'base64').toString('hex')
  const isOfParts = /-\d+$/.test(headerOf(headers, 'x-amz-checksum-sha256') ?? '')
  if (isOfParts || headerOf(headers, 'x-amz-checksum-type') === 'COMPOSITE') return null
  return hex.length === hexLength['sha-256'] ? { algorithm: 'sha-256', hex } : null
}

/**
 * MD5 of the whole object, where the ETag is that; null: it is none.
 * Source: Amazon S3 API Reference, Object: not of parts (`MD5-PARTS`), nor where the server encrypts with keys of KMS
 * or of the customer.
 */
export function md5In(headers: Headers): Digest | null {
  const [, hex] = /^"([0-9a-f]{32})"$/i.exec(headerOf(headers, 'etag') ?? '') ?? []
  const encryption = headerOf(headers, 'x-amz-server-side-encryption') ?? 'AES256'
  const isOfCustomer = headers['x-amz-server-side-encryption-customer-algorithm'] !== undefined
  if (hex === undefined || encryption !== 'AES256' || isOfCustomer) return null
  return { algorithm: 'md5', hex: hex.toLowerCase() }
}
