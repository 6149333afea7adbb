/**
 * Which blocks of which objects, for one image: a sparse array of 64-bit masks that costs memory only around objects that
 * have a bit (512 bytes for 64 neighbours), so that a 3 TiB image with a few scattered blocks stays small.
 */
import { countOf } from '../image.ts'

const chunkObjects = 64

export class BlockMasks {
  readonly #chunks = new Map<number, BigUint64Array>()
  /** Bits set in all masks. */
  #count = 0

  get count(): number {
    return this.#count
  }

  get(object: number): bigint {
    return this.#chunks.get(Math.floor(object / chunkObjects))?.[object % chunkObjects] ?? 0n
  }

  add(object: number, blocks: bigint): void {
    this.#set(object, this.get(object) | blocks)
  }

  remove(object: number, blocks: bigint): void {
    this.#set(object, this.get(object) & ~blocks)
  }

  /** Objects with at least one bit, in no order; they may be removed while this runs. */
  *objects(): Generator<number> {
    for (const [chunk, masks] of this.#chunks) {
      // Two u32 loads cost no bigint: a scan of 262,144 objects stays within milliseconds.
      const halves = new Uint32Array(masks.buffer)
      for (let k = 0; k < chunkObjects; k++) {
        if (halves[2 * k] !== 0 || halves[2 * k + 1] !== 0) yield chunk * chunkObjects + k
      }
    }
  }

  #set(object: number, mask: bigint): void {
    const before = this.get(object)
    if (before === mask) return
    const number = Math.floor(object / chunkObjects)
    let chunk = this.#chunks.get(number)
    if (!chunk) {
      chunk = new BigUint64Array(chunkObjects)
      this.#chunks.set(number, chunk)
    }
    chunk[object % chunkObjects] = mask
    this.#count += countOf(mask) - countOf(before)
    if (mask === 0n && chunk.every(word => word === 0n)) this.#chunks.delete(number)
  }
}
