/**
 * Seals of one origin: what outlives a change of its settings. Counters, the place where trees are kept, and the sealed
 * origin of now.
 */
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { TreeProof, TreeProofs } from '../../native/tree-proof.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { noKeeper, type SealKeeper, type SealRecord } from './seal.ts'
import { SealedOrigin } from './sealed-origin.ts'
import { isAnyVerified, type OriginVerifyOptions } from './verify-options.ts'
import { type WrongBlockCounters, WrongBlocks } from './wrong-blocks.ts'

export interface OriginSealsContext {
  readonly url: string
  readonly proofs: TreeProofs
  readonly logger: Logger
  /** An answer was wrong. */
  readonly onWrong: (image: Image, reason: string) => void
}

/** The seal of an image for status; `record` null: none, for that reason, or it was not looked for yet. */
export interface KnownSeal {
  readonly record: SealRecord | null
  readonly reason: string | null
}

export class OriginSeals {
  readonly #parts: OriginSealsContext
  readonly #wrongBlocks: WrongBlocks
  #keeper: SealKeeper = noKeeper
  #origin: SealedOrigin | null = null

  constructor(parts: OriginSealsContext) {
    this.#parts = parts
    this.#wrongBlocks = new WrongBlocks(parts.url, parts.logger, parts.onWrong)
  }

  get counters(): WrongBlockCounters {
    return this.#wrongBlocks.counters
  }

  /** From now on seals and trees are kept there. */
  keepIn(keeper: SealKeeper): void {
    this.#keeper = keeper
  }

  /** The origin with proofs around it; itself where none are wanted. */
  around(origin: Origin, options: OriginVerifyOptions | null, readers: ReaderTable | null): Origin {
    this.#origin = null
    if (!options || !isAnyVerified(options)) return origin
    const { proofs, logger } = this.#parts
    const keeper: SealKeeper = {
      record: imageId => this.#keeper.record(imageId),
      putRecord: (image, record) => this.#keeper.putRecord(image, record),
      tree: (imageId, bytes) => this.#keeper.tree(imageId, bytes),
    }
    const parts = { proofs, options, keeper, logger, wrongBlocks: this.#wrongBlocks, readers }
    return (this.#origin = new SealedOrigin(origin, parts))
  }

  /** Are the blocks of an image proven when they arrive? Then any member, mirror or proxy may send them. */
  isProven(imageId: string): boolean {
    return this.#origin?.isProven(imageId) ?? false
  }

  /** See {@link SealedOrigin.localProof}. */
  async localProof(image: Image, offset: number, length: number, options: ReadOptions): Promise<TreeProof | null> {
    return (await this.#origin?.localProof(image, offset, length, options)) ?? null
  }

  /** Null where proofs are off. */
  sealOf(image: Image): KnownSeal | null {
    return this.#origin?.sealOf(image) ?? null
  }
}
