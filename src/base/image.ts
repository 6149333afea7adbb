/**
 * Images and the arithmetic of blocks, objects and extents. No I/O.
 *
 * An object is exactly 64 blocks, so that the blocks of an object are the bits of one u64: here a bigint mask, where
 * bit k stands for block k of the object.
 */
import { createHash } from 'node:crypto'

/** Blocks in an object: the bits of one u64. */
export const blocksPerObject = 64

/** The mask of a whole object. */
export const allBlocks = 0xffff_ffff_ffff_ffffn

/** One immutable version of a parent image. */
export interface Image {
  /** 32 hex digits, see {@link imageId}. */
  readonly id: string
  /** The origin's identity: its URL without credentials. */
  readonly origin: string
  /** The origin's name of it: for a directory, the file's name. */
  readonly key: string
  readonly sizeBytes: number
  /** The mark of this version: ETag, version id, or a string made of stat fields. */
  readonly validator: string
  /** Modification time in milliseconds since 1970; 0 where the origin has none. */
  readonly modifiedMs: number
}

/** The origin's facts about an image, before it is given an id. */
export type ImageFacts = Omit<Image, 'id'>

/** The image with its id: SHA-256 of origin, key, size and validator, cut to 16 bytes, in hex. */
export function identify(facts: ImageFacts): Image {
  const text = JSON.stringify([facts.origin, facts.key, facts.sizeBytes, facts.validator])
  return { ...facts, id: createHash('sha256').update(text).digest('hex').slice(0, 32) }
}

/** A run of consecutive blocks in one object. */
export interface BlockRun {
  /** First block, counted within the object: 0 to 63. */
  readonly first: number
  readonly count: number
}

/** The part of a byte range that lies in one object. */
export interface ObjectPart {
  readonly object: number
  /** Mask of the blocks touched. */
  readonly blocks: bigint
  /** Bytes, within the image. */
  readonly offset: number
  readonly length: number
}

/** The block and object arithmetic of one image. */
export class Geometry {
  readonly sizeBytes: number
  readonly blockBytes: number
  readonly objectBytes: number
  readonly objects: number

  constructor(sizeBytes: number, blockBytes: number) {
    this.sizeBytes = sizeBytes
    this.blockBytes = blockBytes
    this.objectBytes = blockBytes * blocksPerObject
    this.objects = Math.ceil(sizeBytes / this.objectBytes)
  }

  /** Split `length` bytes at `offset`, which lie within the image, at object borders. */
  parts(offset: number, length: number): ObjectPart[] {
    const parts: ObjectPart[] = []
    for (let at = offset; at < offset + length; ) {
      const object = Math.floor(at / this.objectBytes)
      const end = Math.min(offset + length, (object + 1) * this.objectBytes)
      const base = object * this.objectBytes
      const first = Math.floor((at - base) / this.blockBytes)
      const last = Math.floor((end - 1 - base) / this.blockBytes)
      parts.push({ object, blocks: maskOf({ first, count: last - first + 1 }), offset: at, length: end - at })
      at = end
    }
    return parts
  }

  /** The bytes of a run: offset within the image and length, cut at the end of the image. */
  bytesOf(object: number, run: BlockRun): { offset: number; length: number } {
    const offset = object * this.objectBytes + run.first * this.blockBytes
    return { offset, length: Math.min(run.count * this.blockBytes, this.sizeBytes - offset) }
  }

  /** Mask of the blocks that exist in `object`: all 64 but in the last object. */
  blocksOf(object: number): bigint {
    const bytes = Math.min(this.objectBytes, this.sizeBytes - object * this.objectBytes)
    return maskOf({ first: 0, count: Math.ceil(bytes / this.blockBytes) })
  }
}

/** The mask of the first so many blocks. */
const lowest = Array.from({ length: blocksPerObject + 1 }, (_, count) => (1n << BigInt(count)) - 1n)

/** The mask of a run. */
export function maskOf({ first, count }: BlockRun): bigint {
  return lowest[first + count]! ^ lowest[first]!
}

/** The runs of a mask, in ascending order. */
export function runsOf(mask: bigint): BlockRun[] {
  const runs: BlockRun[] = []
  if (mask === 0n) return runs
  const low = lowHalf(mask)
  const high = highHalf(mask)
  for (let first = 0, k = 0; k <= blocksPerObject; k++) {
    if (k < blocksPerObject && isSet(low, high, k)) continue
    if (k > first) runs.push({ first, count: k - first })
    first = k + 1
  }
  return runs
}

/** Blocks 0 to 31 of a mask, as numbers have them: a look at each bit of a bigint makes several new ones. */
export function lowHalf(mask: bigint): number {
  return Number(mask & 0xffffffffn)
}

/** Blocks 32 to 63. */
export function highHalf(mask: bigint): number {
  return Number((mask >> 32n) & 0xffffffffn)
}

/** Is block `k` in the mask that has these halves? */
export function isSet(low: number, high: number, k: number): boolean {
  return ((k < 32 ? low >>> k : high >>> (k - 32)) & 1) === 1
}

/** The number of set bits. */
export function countOf(mask: bigint): number {
  if (mask === 0n) return 0
  if (mask === allBlocks) return blocksPerObject // The two usual ones, without arithmetic.
  return popcount32(lowHalf(mask)) + popcount32(highHalf(mask))
}

function popcount32(bits: number): number {
  let v = bits - ((bits >>> 1) & 0x55555555)
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333)
  return (((v + (v >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}
