/**
 * Seals of one origin: what outlives a change of its settings. Counters, the place where trees are kept, and the sealed
 * origin of now.
 */
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { TreeProof, TreeProofs } from '../../native/tree-proof.ts'
import type { UnitPermitTables } from '../../native/unit-permits.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { type KnownSeal, noKeeper, type Seal, type SealKeeper } from './seal.ts'
import { SealedOrigin } from './sealed-origin.ts'
import type { TakenSource } from './taken-blocks.ts'
import { isAnyVerified, type OriginVerifyOptions } from './verify-options.ts'
import { type ComparedVersions, type HeldVersions, nothingHeld } from './version-delta.ts'
import { type WrongBlockCounters, WrongBlocks } from './wrong-blocks.ts'

export interface OriginSealsContext {
  readonly url: string
  readonly proofs: TreeProofs & UnitPermitTables
  readonly logger: Logger
  /** An answer was wrong. */
  readonly onWrong: (image: Image, reason: string) => void
  /** Other than wrongPauseMsMin. */
  readonly pauseMsMin?: number
}

export class OriginSeals {
  readonly #parts: OriginSealsContext
  readonly #wrongBlocks: WrongBlocks
  #keeper: SealKeeper = noKeeper
  #held: HeldVersions = nothingHeld
  #origin: SealedOrigin | null = null

  constructor(parts: OriginSealsContext) {
    this.#parts = parts
    this.#wrongBlocks = new WrongBlocks(parts.url, parts.logger, parts.onWrong, parts.pauseMsMin)
  }

  get counters(): WrongBlockCounters {
    return this.#wrongBlocks.counters
  }

  /** From now on seals and trees are kept there, and older versions are found in the store. */
  keepIn(keeper: SealKeeper, held: HeldVersions): void {
    this.#keeper = keeper
    this.#held = held
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
    const held: HeldVersions = {
      olderThan: image => this.#held.olderThan(image),
      holds: (...range) => this.#held.holds(...range),
      read: (...range) => this.#held.read(...range),
    }
    const parts = { proofs, options, keeper, held, logger, wrongBlocks: this.#wrongBlocks, readers }
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

  /** See {@link SealedOrigin.takenOf}. */
  takenOf(imageId: string): TakenSource | null {
    return this.#origin?.takenOf(imageId) ?? null
  }

  /** See {@link SealedOrigin.prepare}; null where proofs are off. */
  async prepare(image: Image, options: ReadOptions): Promise<Seal | null> {
    return (await this.#origin?.prepare(image, options)) ?? null
  }

  /** Is an image to be proven? */
  isWanted(image: Image): boolean {
    return this.#origin?.isWanted(image) ?? false
  }

  /** See {@link SealedOrigin.endDelta}. */
  endDelta(image: Image): void {
    this.#origin?.endDelta(image)
  }

  /** See {@link SealedOrigin.compare}; null where proofs are off, too. */
  async compare(image: Image, options: ReadOptions): Promise<ComparedVersions | null> {
    return (await this.#origin?.compare(image, options)) ?? null
  }

  /** For status; null where proofs are off. */
  proofOf(image: Image) {
    const known = this.isWanted(image) ? this.sealOf(image) : null
    if (!known) return null
    const { record, reason, deltaComplaint } = known
    return { trust: record?.trust ?? null, rootHash: record?.rootHash ?? null, reason: reason ?? deltaComplaint }
  }

  /** Null where proofs are off. */
  sealOf(image: Image): KnownSeal | null {
    return this.#origin?.sealOf(image) ?? null
  }
}
