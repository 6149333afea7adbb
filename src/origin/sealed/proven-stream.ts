/**
 * Proven stream: passes on the bytes of a sequential image once they are proven. A pass is not repeated: the first
 * wrong block ends it.
 */
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { ReadOptions, TakeBytes } from '../contract/origin.ts'
import type { HashTree } from './hash-tree.ts'
import { provenPieceBytes } from './limits.ts'
import type { WrongBlocks } from './wrong-blocks.ts'

export class ProvenStream {
  readonly #image: Image
  readonly #tree: HashTree
  readonly #wrongBlocks: WrongBlocks
  readonly #take: TakeBytes
  readonly #options: ReadOptions
  readonly #piece = Buffer.allocUnsafeSlow(provenPieceBytes)
  #filled = 0
  #offset = 0

  constructor(image: Image, tree: HashTree, wrongBlocks: WrongBlocks, take: TakeBytes, options: ReadOptions) {
    this.#image = image
    this.#tree = tree
    this.#wrongBlocks = wrongBlocks
    this.#take = take
    this.#options = options
  }

  /** @throws CacheError image-corrupt, and what the taker throws */
  async take(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + this.#piece.length - this.#filled)
      this.#piece.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled === this.#piece.length) await this.end()
    }
  }

  /** Prove and pass on what is left. */
  async end(): Promise<void> {
    const bytes = this.#piece.subarray(0, this.#filled)
    if (bytes.length === 0) return
    for (;;) {
      await this.#tree.load(this.#offset, bytes.length, this.#options)
      const { proof, block } = await this.#tree.proof.find(this.#offset, bytes)
      if (proof === 'unknown') continue
      if (proof === 'right') break
      await this.#wrongBlocks.count(this.#image, this.#tree, this.#offset, bytes)
      throw this.#wrongBlocks.error(this.#image, this.#tree, block, 1)
    }
    this.#filled = 0
    this.#offset += bytes.length
    await this.#take(bytes)
    if (this.#offset > this.#image.sizeBytes) {
      throw new CacheError('image-corrupt', `${this.#image.key}: has more bytes than its size`)
    }
  }
}
