/**
 * Fills blocks of a data file: reserve, checksum, write, publish. Then readers may have them; the committer records
 * them.
 */
import { CacheError, messageOf } from '../../base/errors.ts'
import { type BlockRun, countOf, type Geometry, type Image, maskOf, runsOf } from '../../base/image.ts'
import type { StoreFile, WrittenSums } from '../../native/addon.ts'
import { overheadBytesPerEntry } from '../disk/capacity.ts'
import type { BlockBitmap } from './block-bitmap.ts'
import type { CommitTarget } from './committer.ts'
import type { ResidencyTable } from './residency-table.ts'
import type { StoreContext } from './store-context.ts'

/** The outcome for offered blocks: written, or the reason why not. */
export type WriteOutcome = 'landed' | 'held-already' | 'full' | 'failed'

/** Interface of a stored image to the block writer. */
export interface BlockWriterTarget extends CommitTarget {
  readonly image: Image
  readonly geometry: Geometry
  readonly file: StoreFile
  readonly residency: ResidencyTable
  /** Syncs that failed: they may have lost any byte written before they ended, and the next one will not say so. */
  readonly failedSyncs: number
  /** Punch written blocks, unless the kernel reads the file by itself. */
  punchIfAlone(object: number, run: BlockRun): Promise<void>
}

/** Masks of an image: held blocks, those that are known zeros, and those with damaged bytes. */
export interface BlockWriterMasks {
  readonly held: BlockBitmap
  readonly zero: BlockBitmap
  readonly damaged: BlockBitmap
}

export class BlockWriter {
  readonly #target: BlockWriterTarget
  readonly #masks: BlockWriterMasks
  readonly #parts: StoreContext

  constructor(target: BlockWriterTarget, masks: BlockWriterMasks, parts: StoreContext) {
    this.#target = target
    this.#masks = masks
    this.#parts = parts
  }

  /** See {@link StoredImage.land}. The caller holds the object's lock. */
  async writeBlocks(object: number, first: number, bytes: Uint8Array, toDisk: boolean): Promise<WriteOutcome> {
    const { blockBytes } = this.#target.geometry
    const offered = maskOf({ first, count: Math.ceil(bytes.length / blockBytes) })
    const broken = offered & this.#masks.damaged.get(object)
    const piece = (run: BlockRun) => {
      const start = (run.first - first) * blockBytes
      return bytes.subarray(start, start + run.count * blockBytes)
    }
    let result: WriteOutcome = 'held-already'
    for (const run of runsOf(broken)) {
      result = await this.#mend(object, run, piece(run))
      if (result !== 'landed') return result
    }
    for (const run of runsOf(offered & ~this.#masks.held.get(object))) {
      result = await this.#landRun(object, run, piece(run), toDisk)
      if (result !== 'landed') return result
    }
    return result
  }

  async #landRun(object: number, run: BlockRun, bytes: Uint8Array, toDisk: boolean): Promise<WriteOutcome> {
    const { capacity, committer, health } = this.#parts
    const { blockBytes } = this.#target.geometry
    if (!health.mayWrite) return 'failed'
    const blocks = maskOf(run)
    const reserved = run.count * blockBytes + overheadBytesPerEntry
    if (!capacity.reserve(reserved)) {
      void committer.flush() // What is pending is given back then. Never rejects.
      return 'full'
    }
    try {
      const landed = await this.#write(object, run, bytes, toDisk)
      const zero = (landed.zero << BigInt(run.first)) & blocks
      this.#masks.held.add(object, blocks)
      this.#masks.zero.add(object, zero)
      // The overhead stays pending: the committer settles it when the disk has been measured.
      capacity.settle(reserved - overheadBytesPerEntry, countOf(blocks & ~zero) * blockBytes)
      this.#publish(object, run, bytes, landed)
      return 'landed'
    } catch {
      // The same disk: the rest is an orphan, reclaimed at the next boot.
      await this.#target.punchIfAlone(object, run).catch(() => {})
      capacity.settle(reserved, 0)
      return 'failed'
    }
  }

  /** Write right bytes over wrong ones: their place is theirs already. */
  async #mend(object: number, run: BlockRun, bytes: Uint8Array): Promise<WriteOutcome> {
    const { capacity, committer, health } = this.#parts
    if (!health.mayWrite) return 'failed'
    if (!capacity.reserve(overheadBytesPerEntry)) {
      void committer.flush() // Never rejects.
      return 'full'
    }
    try {
      const landed = await this.#write(object, run, bytes, false)
      this.#masks.damaged.remove(object, maskOf(run))
      this.#publish(object, run, bytes, landed)
      return 'landed'
    } catch {
      capacity.settle(overheadBytesPerEntry, 0)
      return 'failed'
    }
  }

  #publish(object: number, run: BlockRun, bytes: Uint8Array, landed: WrittenSums): void {
    const blocks = maskOf(run)
    this.#target.residency.publish(object, blocks)
    this.#parts.committer.add({
      target: this.#target,
      object,
      first: run.first,
      blocks,
      landed,
      bytes: bytes.length,
    })
  }

  /** @throws when the bytes may not be there; the health has heard of it */
  async #write(object: number, run: BlockRun, bytes: Uint8Array, toDisk: boolean): Promise<WrittenSums> {
    const { health, logger } = this.#parts
    const { file, geometry, image } = this.#target
    const { offset } = geometry.bytesOf(object, run)
    const { failedSyncs } = this.#target
    const hasFailedSync = () => this.#target.failedSyncs !== failedSyncs
    try {
      const landed = await health.watchWrite(file.writeBlocks(offset, bytes, toDisk))
      if (hasFailedSync()) throw new CacheError('store-failed', 'a sync failed meanwhile')
      return landed
    } catch (error) {
      // The caller of a failed sync tells the disk's health, with its errno.
      if (!hasFailedSync()) health.writeFailed(error)
      logger.debug({ image: image.key, offset, err: error }, `an extent could not be stored: ${messageOf(error)}`)
      throw error
    }
  }
}
