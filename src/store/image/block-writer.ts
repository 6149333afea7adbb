/**
 * Fills blocks of a data file: reserve, checksum, write, publish. Then readers may have them; the committer records
 * them. What is offered together is written together: a write of its own for each block would cost more than its bytes.
 */
import { CacheError, messageOf } from '../../base/errors.ts'
import { type BlockRun, countOf, type Geometry, type Image, maskOf, runsOf } from '../../base/image.ts'
import type { CloneSources, StoreFile } from '../../native/addon.ts'
import { overheadBytesPerEntry } from '../disk/capacity.ts'
import type { BlockBitmap } from './block-bitmap.ts'
import type { CommitTarget } from './committer.ts'
import type { ResidencyTable } from './residency-table.ts'
import type { StoreContext } from './store-context.ts'

/** Bytes of an object from its block `first` on: whole blocks, or up to the end of the image. */
export interface Extent {
  readonly object: number
  readonly first: number
  readonly bytes: Uint8Array
}

/** The outcome for an offered extent: written, or the reason why not all of it. */
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

/** A run of blocks to be written, with room for it. */
interface Write {
  /** The place of its extent in the offer. */
  readonly of: number
  readonly object: number
  readonly run: BlockRun
  readonly bytes: Uint8Array
  /** Right bytes over damaged ones: their place is theirs already. */
  readonly isRepair: boolean
  /** Beside those of its record. */
  readonly reservedBytes: number
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

  /**
   * See {@link StoredImage.writeExtents}. The caller holds the locks of the objects.
   * @returns an outcome for each extent
   */
  async writeExtents(extents: readonly Extent[], toDisk: boolean): Promise<WriteOutcome[]> {
    const outcomes = extents.map((): WriteOutcome => 'held-already')
    const writes: Write[] = []
    /** By object: an extent that is offered twice is written once. */
    const taken = new Map<number, bigint>()
    for (const [of, extent] of extents.entries()) {
      for (const write of this.#writesOf(extent, of, taken.get(extent.object) ?? 0n)) {
        outcomes[of] = this.#reserve(write)
        if (outcomes[of] !== 'landed') break
        taken.set(write.object, (taken.get(write.object) ?? 0n) | maskOf(write.run))
        writes.push(write)
      }
    }
    if (writes.length === 0) return outcomes
    const written = await this.#write(writes, toDisk)
    for (const write of writes.slice(written)) {
      if (outcomes[write.of] === 'landed') outcomes[write.of] = 'failed'
      // The same disk: the rest is an orphan, reclaimed at the next boot.
      if (!write.isRepair) await this.#target.punchIfAlone(write.object, write.run).catch(() => {})
      this.#parts.capacity.settle(write.reservedBytes + overheadBytesPerEntry, 0)
    }
    return outcomes
  }

  /** The runs of an extent that are to be written: damaged blocks first, then those that are not held. */
  *#writesOf({ object, first, bytes }: Extent, of: number, taken: bigint): Generator<Write> {
    const { blockBytes } = this.#target.geometry
    const offered = maskOf({ first, count: Math.ceil(bytes.length / blockBytes) }) & ~taken
    for (const isRepair of [true, false]) {
      const blocks = isRepair ? this.#masks.damaged.get(object) : ~this.#masks.held.get(object)
      for (const run of runsOf(offered & blocks)) {
        const start = (run.first - first) * blockBytes
        const own = bytes.subarray(start, start + run.count * blockBytes)
        const reservedBytes = isRepair ? 0 : run.count * blockBytes
        yield { of, object, run, bytes: own, isRepair, reservedBytes }
      }
    }
  }

  #reserve({ reservedBytes }: Write): WriteOutcome {
    const { capacity, committer, health } = this.#parts
    if (!health.mayWrite) return 'failed'
    if (capacity.reserve(reservedBytes + overheadBytesPerEntry)) return 'landed'
    void committer.flush() // What is pending is given back then. Never rejects.
    return 'full'
  }

  /** Write, and publish what was written. @returns the number of writes that were done, the first ones */
  async #write(writes: readonly Write[], toDisk: boolean): Promise<number> {
    const { health, logger } = this.#parts
    const { file, geometry, image } = this.#target
    const offsets = writes.map(({ object, run }) => geometry.bytesOf(object, run).offset)
    const { failedSyncs } = this.#target
    const hasFailedSync = () => this.#target.failedSyncs !== failedSyncs
    // Repairs go through the page cache: the kernel reads there.
    const isDirect = toDisk && !writes.some(({ isRepair }) => isRepair)
    let done = 0
    try {
      const extents = writes.map(({ bytes }) => bytes)
      const clones = this.#clonesOf(offsets, extents)
      const written = await health.watchWrite(file.writeBlocks(offsets, extents, isDirect, clones))
      const { sums, zeros, error, clonedBytes } = written
      if (clones) this.#countTaken(clones, clonedBytes, writes.slice(0, zeros.length), zeros)
      if (hasFailedSync()) throw new CacheError('store-failed', 'a sync failed meanwhile')
      for (let block = 0; done < zeros.length; done++) {
        const write = writes[done]!
        this.#publish(write, sums.subarray(block, block + write.run.count), zeros[done]!)
        block += write.run.count
      }
      if (error) throw error
    } catch (error) {
      // The caller of a failed sync tells the disk's health, with its errno.
      if (!hasFailedSync()) health.writeFailed(error)
      const fields = { image: image.key, offset: offsets[done], err: error }
      logger.debug(fields, `an extent could not be stored: ${messageOf(error)}`)
    }
    return done
  }

  /** The places of blocks in the file of an older version; null for none. */
  #clonesOf(offsets: readonly number[], extents: readonly Uint8Array[]): CloneSources | null {
    const taken = this.#parts.takenOf(this.#target.image)
    const file = taken && this.#parts.fileOf(taken.imageId)
    if (!taken || !file) return null
    const { blockBytes } = this.#target.geometry
    const sources = extents.flatMap((bytes, k) =>
      Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, block) => {
        const at = block * blockBytes
        return taken.sourceOf(offsets[k]! + at, Math.min(blockBytes, bytes.length - at)) ?? -1
      }),
    )
    return sources.some(source => source >= 0) ? { file, offsets: sources } : null
  }

  /** Zeros are punched: they are neither shared nor copied. */
  #countTaken({ offsets }: CloneSources, clonedBytes: number, written: readonly Write[], zeros: BigUint64Array): void {
    let blocks = 0
    let at = 0
    for (const [k, { run }] of written.entries()) {
      for (let block = 0; block < run.count; block++, at++) {
        if (offsets[at]! >= 0 && ((zeros[k]! >> BigInt(block)) & 1n) === 0n) blocks++
      }
    }
    this.#parts.onTaken(clonedBytes, Math.max(0, blocks * this.#target.geometry.blockBytes - clonedBytes))
  }

  #publish({ object, run, bytes, isRepair, reservedBytes }: Write, sums: Uint32Array, zeroOfRun: bigint): void {
    const blocks = maskOf(run)
    const zero = (zeroOfRun << BigInt(run.first)) & blocks
    const writtenBytes = countOf(blocks & ~zero) * this.#target.geometry.blockBytes
    this.#parts.written(writtenBytes)
    if (isRepair) this.#masks.damaged.remove(object, blocks)
    else {
      this.#masks.held.add(object, blocks)
      this.#masks.zero.add(object, zero)
      // The overhead stays pending: the committer settles it when the disk has been measured.
      this.#parts.capacity.settle(reservedBytes, writtenBytes)
    }
    this.#target.residency.publish(object, blocks)
    this.#parts.committer.add({ target: this.#target, object, run, sums, zero, bytes: bytes.length })
  }
}
