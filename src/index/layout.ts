/**
 * How keys and values look in the index. Every value starts with the layout byte.
 *
 * - `residency`, `sums`: key = image id (16 bytes) + object number (u32, big-endian), so that the objects of an image lie
 *   side by side in order.
 * - a residency value is layout, resident u64, zero u64; a sums value is layout, the mask of the blocks that have a sum
 *   (u64), and one crc32c (u32) for each of them, in ascending order. All little-endian.
 * - `images`, `names`, `listings`: layout and JSON. `recency`: layout and pairs of object (u32), lastUse (u32).
 */
import { createHash } from 'node:crypto'
import { CacheError } from '../errors.ts'
import { blocksPerObject } from '../image.ts'

/** The layout of the whole cache directory; also the first byte of each value. */
export const layoutVersion = 1

/** What the index says of one object. */
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

export function encodeRecord(record: ObjectRecord): Buffer {
  const value = Buffer.allocUnsafe(17)
  value[0] = layoutVersion
  value.writeBigUInt64LE(record.resident, 1)
  value.writeBigUInt64LE(record.zero, 9)
  return value
}

export function decodeRecord(value: Buffer): ObjectRecord {
  checkLayout(value, value.length === 17)
  return { resident: value.readBigUInt64LE(1), zero: value.readBigUInt64LE(9) }
}

export function encodeSums({ blocks, sums }: ObjectSums): Buffer {
  const value = Buffer.allocUnsafe(9 + 4 * blocksPerObject)
  value[0] = layoutVersion
  value.writeBigUInt64LE(blocks, 1)
  let at = 9
  for (let k = 0; k < blocksPerObject; k++) {
    if (((blocks >> BigInt(k)) & 1n) === 1n) at = value.writeUInt32LE(sums[k]!, at)
  }
  return value.subarray(0, at)
}

export function decodeSums(value: Buffer): ObjectSums {
  checkLayout(value, value.length >= 9)
  const blocks = value.readBigUInt64LE(1)
  const sums = new Uint32Array(blocksPerObject)
  let at = 9
  for (let k = 0; k < blocksPerObject; k++) {
    if (((blocks >> BigInt(k)) & 1n) === 0n) continue
    checkLayout(value, at + 4 <= value.length)
    sums[k] = value.readUInt32LE(at)
    at += 4
  }
  return { blocks, sums }
}

export function encodeJson(content: unknown): Buffer {
  return Buffer.concat([Buffer.of(layoutVersion), Buffer.from(JSON.stringify(content))])
}

export function decodeJson(value: Buffer): unknown {
  checkLayout(value, value.length > 1)
  return JSON.parse(value.toString('utf8', 1))
}

/** @param pairs object, lastUse, object, lastUse, ... */
export function encodeRecency(pairs: Uint32Array): Buffer {
  return Buffer.concat([Buffer.of(layoutVersion), new Uint8Array(pairs.buffer, pairs.byteOffset, pairs.byteLength)])
}

export function decodeRecency(value: Buffer): Uint32Array {
  checkLayout(value, value.length % 8 === 1)
  return new Uint32Array(Uint8Array.from(value.subarray(1)).buffer)
}

function checkLayout(value: Buffer, wellFormed: boolean): void {
  if (value[0] === layoutVersion && wellFormed) return
  throw new CacheError(
    'cache-layout',
    `a value of the index has layout ${value[0]} and ${value.length} bytes, which we cannot read`,
  )
}
