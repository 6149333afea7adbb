/**
 * Hit set as a Bloom filter: bits by which an object that was entered is always found, and others seldom.
 *
 * Source: Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13 (1970); two hashes in the place
 * of many: Kirsch and Mitzenmacher, "Less hashing, same performance", ESA 2006.
 */
import { countOf } from '../../base/image.ts'
import type { HitSet } from './hit-set.ts'

/** Before the bits: objects, hashes, bits that may be set. */
const headBytes = 12

export class BloomHitSet implements HitSet {
  readonly type = 'bloom'
  /** So many keep the promise: an unused object meets set bits alone with the share of them to the power of hashes. */
  readonly #onesMax: number
  readonly #hashes: number
  readonly #bits: Uint8Array
  #size: number
  #ones: number

  private constructor(size: number, hashes: number, onesMax: number, bits: Uint8Array) {
    this.#size = size
    this.#hashes = hashes
    this.#onesMax = onesMax
    this.#bits = bits
    this.#ones = bits.reduce((sum, byte) => sum + countOf(BigInt(byte)), 0)
  }

  /** An empty one that has room for about `objects`, and keeps its promise however full it is. */
  static sized(objects: number, falsePositives: number): BloomHitSet {
    const hashes = Math.max(1, Math.round(-Math.log2(falsePositives)))
    const bytes = Math.ceil((objects * -Math.log(falsePositives)) / Math.LN2 ** 2 / 8)
    const onesMax = Math.floor(bytes * 8 * falsePositives ** (1 / hashes))
    return new BloomHitSet(0, hashes, onesMax, new Uint8Array(bytes))
  }

  static decode(bytes: Buffer): BloomHitSet | null {
    if (bytes.length <= headBytes) return null
    const [size, hashes, onesMax] = [0, 4, 8].map(at => bytes.readUInt32LE(at)) as [number, number, number]
    return new BloomHitSet(size, hashes, onesMax, Uint8Array.from(bytes.subarray(headBytes)))
  }

  get size(): number {
    return this.#size
  }

  get memoryBytes(): number {
    return this.#bits.length
  }

  add(imageId: string, object: number): boolean {
    if (this.has(imageId, object)) return true
    if (this.#ones + this.#hashes > this.#onesMax) return false
    this.#size++
    this.#each(imageId, object, (byte, mask) => {
      this.#ones += Number((this.#bits[byte]! & mask) === 0)
      this.#bits[byte]! |= mask
      return true
    })
    return true
  }

  has(imageId: string, object: number): boolean {
    return this.#each(imageId, object, (byte, mask) => (this.#bits[byte]! & mask) !== 0)
  }

  encode(): Buffer {
    const head = Buffer.alloc(headBytes)
    for (const [k, value] of [this.#size, this.#hashes, this.#onesMax].entries()) head.writeUInt32LE(value, 4 * k)
    return Buffer.concat([head, this.#bits])
  }

  /** Visit the bits of an object until `visit` says false. @returns whether it never did */
  #each(imageId: string, object: number, visit: (byte: number, mask: number) => boolean): boolean {
    const bits = this.#bits.length * 8
    const first = mixed(Number.parseInt(imageId.slice(0, 8), 16), object)
    const step = mixed(Number.parseInt(imageId.slice(8, 16), 16) ^ 0x5bd1e995, object) | 1
    for (let k = 0; k < this.#hashes; k++) {
      const bit = (first + k * (step >>> 0)) % bits
      if (!visit(bit >>> 3, 1 << (bit & 7))) return false
    }
    return true
  }
}

/** 32 well-mixed bits. Source: Austin Appleby, MurmurHash3, fmix32 (public domain). */
function mixed(seed: number, object: number): number {
  let hash = seed ^ Math.imul(object, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
