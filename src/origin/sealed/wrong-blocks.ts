/**
 * Wrong blocks of an origin: answers that did not fit the hash trees of their images, counted, located and logged.
 */
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { HashTree } from './hash-tree.ts'
import { locatedBlocksMax, wrongPauseMsMin } from './limits.ts'
import { urlOfKey } from './verify-options.ts'

export interface WrongBlockCounters {
  /** Data blocks, and blocks of trees, that were not as their publisher made them. */
  readonly blocks: number
  readonly treeBlocks: number
  /** Blocks of trees on the cache's disk that were others than those that were written. */
  readonly keptTreeBlocks: number
  /** The latest one: the key of its image, and the offset in it; null: there was none. */
  readonly latest: { readonly image: string; readonly offset: number } | null
}

export class WrongBlocks {
  readonly #url: string
  readonly #logger: Logger
  readonly #onAnswer: (image: Image, reason: string) => void
  #blocks = 0
  #treeBlocks = 0
  #keptTreeBlocks = 0
  #latest: WrongBlockCounters['latest'] = null
  readonly #pauseMsMin: number

  /** @param onAnswer counts the answer against the place that gave it */
  constructor(
    url: string,
    logger: Logger,
    onAnswer: (image: Image, reason: string) => void,
    pauseMsMin = wrongPauseMsMin,
  ) {
    this.#pauseMsMin = pauseMsMin
    this.#url = url
    this.#logger = logger
    this.#onAnswer = onAnswer
  }

  get counters(): WrongBlockCounters {
    return {
      blocks: this.#blocks,
      treeBlocks: this.#treeBlocks,
      keptTreeBlocks: this.#keptTreeBlocks,
      latest: this.#latest,
    }
  }

  /** Wait before a range is asked for again of which `tries` answers were wrong. */
  pause(tries: number, signal: CancelSignal): Promise<void> {
    return pause(this.#pauseMsMin * 2 ** (tries - 1), signal)
  }

  /** An answer did not fit: find all of its wrong blocks. */
  async count(image: Image, tree: HashTree, offset: number, bytes: Uint8Array): Promise<void> {
    const { dataBlockBytes } = tree.parameters
    const offsets: number[] = []
    for (let at = 0; at < bytes.length && offsets.length < locatedBlocksMax; ) {
      const { proof, block } = await tree.proof.find(offset + at, bytes.subarray(at))
      if (proof !== 'wrong') break
      offsets.push(block * dataBlockBytes)
      at = (block + 1) * dataBlockBytes - offset
    }
    this.#note(image, offsets)
  }

  /** Answers for session threads did not fit: they are asked for again here. */
  countNative(image: Image, tree: HashTree): void {
    const { dataBlockBytes } = tree.parameters
    this.#note(
      image,
      tree.proof.takeWrong().map(block => block * dataBlockBytes),
    )
  }

  #note(image: Image, offsets: readonly number[]): void {
    if (offsets.length === 0) return
    this.#blocks += offsets.length
    this.#latest = { image: image.key, offset: offsets.at(-1)! }
    const message = 'blocks from the origin differ from their hash tree; they are not served, and fetched again'
    this.#logger.warn({ image: image.key, origin: this.#url, offsets }, message)
    this.#onAnswer(image, `${image.key}: the block at ${offsets[0]} differs from its hash tree`)
  }

  /** The same of a block of the tree itself. */
  countOfTree(image: Image, level: number, block: number): void {
    this.#treeBlocks++
    const message = 'a block of a hash tree differs from its root hash; it is not used, and fetched again'
    this.#logger.warn({ image: image.key, origin: this.#url, treeLevel: level, block }, message)
    this.#onAnswer(image, `${image.key}: block ${block} of level ${level} of its hash tree is wrong`)
  }

  /** The same of a tree on the cache's disk, which speaks against no origin. */
  countOfKeptTree(image: Image, level: number, block: number): void {
    this.#keptTreeBlocks++
    const message = 'a block of a hash tree on disk differs from its root hash; it is not used, and replaced'
    this.#logger.warn({ image: image.key, treeLevel: level, block }, message)
  }

  /** The error of a block of which no answer fits. */
  error(image: Image, tree: HashTree, block: number, answers: number): CacheError {
    const offset = block * tree.parameters.dataBlockBytes
    const what = `${urlOfKey(this.#url, image.key)}: none of ${answers} answers for the block at ${offset} fits its hash tree`
    return new CacheError('image-corrupt', `${what}: publish the image or its tree again`)
  }
}
