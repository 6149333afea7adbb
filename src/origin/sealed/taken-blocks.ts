/**
 * Taken blocks: the blocks of a new version that were read from the older one lately, and their places there. The store
 * lets the file system share those places instead of writing the bytes once more.
 */
import { LruMap } from '../../base/lru-map.ts'
import { takenBlocksMax } from './limits.ts'

/** Blocks of an image that another image in the store has. */
export interface TakenSource {
  readonly imageId: string
  /** The offset there of a range that was taken as a whole; null for any other. */
  sourceOf(offset: number, length: number): number | null
}

export class TakenBlocks implements TakenSource {
  readonly imageId: string
  readonly #blockBytes: number
  readonly #sources = new LruMap<number, number>(takenBlocksMax)

  constructor(imageId: string, blockBytes: number) {
    this.imageId = imageId
    this.#blockBytes = blockBytes
  }

  note(offset: number, length: number, source: number): void {
    for (let at = 0; at < length; at += this.#blockBytes) {
      this.#sources.set((offset + at) / this.#blockBytes, source + at)
    }
  }

  sourceOf(offset: number, length: number): number | null {
    const first = this.#sources.get(offset / this.#blockBytes)
    if (first === undefined) return null
    for (let at = this.#blockBytes; at < length; at += this.#blockBytes) {
      if (this.#sources.get((offset + at) / this.#blockBytes) !== first + at) return null
    }
    return first
  }
}
