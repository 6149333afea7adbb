/**
 * Encoding of keys and values in the index. Every value has a checksum, see value-checksum.ts.
 *
 * - `residency`, `sums`: key = image id (16 bytes) + object number (u32, big-endian), so that the objects of an image
 * lie side by side in order.
 * - a residency value is resident u64, zero u64; a sums value is the mask of the blocks that have a sum (u64), and one
 * crc32c (u32) for each of them, in ascending order. All little-endian.
 * - `images`, `names`, `listings` (a long one in several values, see listing-chunks.ts), `digests`, `pins`, `profiles`
 * hold JSON; `recency` pairs of object (u32) and lastUse (u32); `counters` hold JSON by name.
 * - `hitsets`: key = origin + begin of the period in milliseconds (u64, big-endian); type, u8, and the set.
 *
 * Decoding gives null for a value that is not as it was written: it counts as absent.
 */
import { createHash } from 'node:crypto'
import { blocksPerObject, highHalf, isSet, lowHalf } from '../../base/image.ts'
import type { HitSetRecord } from './records.ts'
import { addChecksum, checkedContent, checksumBytes, hasValidChecksum } from './value-checksum.ts'

/** The record of one object. */
export interface ObjectRecord {
  /** Blocks whose bytes are durably in the data file. */
  readonly resident: bigint
  /** Those of them that are all zeros and take no space. */
  readonly zero: bigint
}

/** The checksums of one object: `sums[k]` is valid where bit k of `blocks` is set. */
export interface ObjectSums {
  readonly blocks: bigint
  readonly sums: Uint32Array
}

export function objectKey(imageId: string, object: number): Buffer {
  const key = Buffer.allocUnsafe(20)
  key.write(imageId, 0, 'hex')
  key.writeUInt32BE(object, 16)
  return key
}

export function imageKey(imageId: string): Buffer {
  return Buffer.from(imageId, 'hex')
}

/** Names are kept by origin: 16 bytes of the SHA-256 of its URL, then the name. */
export function nameKey(origin: string, name: string): Buffer {
  return Buffer.concat([originKey(origin), Buffer.from(name)])
}

export function originKey(origin: string): Buffer {
  return createHash('sha256').update(origin).digest().subarray(0, 16)
}

export function encodeRecord(key: Buffer, record: ObjectRecord): Buffer {
  const content = Buffer.allocUnsafe(16)
  content.writeBigUInt64LE(record.resident, 0)
  content.writeBigUInt64LE(record.zero, 8)
  return addChecksum(key, content)
}

export function decodeRecord(key: Buffer, value: Buffer): ObjectRecord | null {
  if (value.length !== 16 + checksumBytes || !hasValidChecksum(key, value)) return null
  return { resident: value.readBigUInt64LE(1), zero: value.readBigUInt64LE(9) }
}

export function encodeSums(key: Buffer, { blocks, sums }: ObjectSums): Buffer {
  const content = Buffer.allocUnsafe(8 + 4 * blocksPerObject)
  let at = content.writeBigUInt64LE(blocks, 0)
  const low = lowHalf(blocks)
  const high = highHalf(blocks)
  for (let k = 0; k < blocksPerObject; k++) if (isSet(low, high, k)) at = content.writeUInt32LE(sums[k]!, at)
  return addChecksum(key, content.subarray(0, at))
}

export function decodeSums(key: Buffer, value: Buffer): ObjectSums | null {
  const content = checkedContent(key, value)
  if (!content || content.length < 8) return null
  const blocks = content.readBigUInt64LE(0)
  const sums = new Uint32Array(blocksPerObject)
  const low = lowHalf(blocks)
  const high = highHalf(blocks)
  let at = 8
  for (let k = 0; k < blocksPerObject && at < content.length; k++) {
    if (!isSet(low, high, k)) continue
    sums[k] = content.readUInt32LE(at)
    at += 4
  }
  return { blocks, sums }
}

export function encodeJson(key: Buffer, content: unknown): Buffer {
  return addChecksum(key, Buffer.from(JSON.stringify(content)))
}

/** @returns the decoded value, whose type the caller knows from the database it came from */
export function decodeJson<T>(key: Buffer, value: Buffer): T | null {
  const content = checkedContent(key, value)
  return content && (JSON.parse(content.toString('utf8')) as T)
}

/** @param pairs object, lastUse, object, lastUse, ... */
export function encodeRecency(key: Buffer, pairs: Uint32Array): Buffer {
  return addChecksum(key, Buffer.from(pairs.buffer, pairs.byteOffset, pairs.byteLength))
}

export function decodeRecency(key: Buffer, value: Buffer): Uint32Array | null {
  const content = checkedContent(key, value)
  return content && content.length % 8 === 0 ? new Uint32Array(Uint8Array.from(content).buffer) : null
}

/** Types of hit sets, by their first byte. */
const hitSetTypes = ['', 'bloom', 'explicit'] as const

/** @param startedMs begin of the period, milliseconds since 1970 */
export function hitSetKey(origin: string, startedMs: number): Buffer {
  const time = Buffer.allocUnsafe(8)
  time.writeBigUInt64BE(BigInt(startedMs))
  return Buffer.concat([originKey(origin), time])
}

export function encodeHitSet(key: Buffer, { type, content }: Pick<HitSetRecord, 'type' | 'content'>): Buffer {
  const first = Buffer.from([hitSetTypes.indexOf(type as (typeof hitSetTypes)[number])])
  return addChecksum(key, Buffer.concat([first, content]))
}

export function decodeHitSetRecord(key: Buffer, value: Buffer): HitSetRecord | null {
  const content = checkedContent(key, value)
  const type = content && hitSetTypes[content[0] ?? 0]
  if (!content || !type) return null
  return { type, startedMs: Number(key.readBigUInt64BE(16)), content: Buffer.from(content.subarray(1)) }
}
