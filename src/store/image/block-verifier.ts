/**
 * Verifies blocks against their checksums: good ones are published, bad ones given up.
 *
 * An unreadable block is not a bad one. While the disk otherwise works it is given up too. On a disk that reads nothing
 * it stays as it is, unpublished, because it may be as good as ever when the disk is back.
 */
import { CacheError } from '../../base/errors.ts'
import { countOf, type Geometry, type Image, runsOf } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { StoreFile } from '../../native/addon.ts'
import type { Verified } from '../../native/block-outcomes.ts'
import type { DiskHealth } from '../disk/disk-health.ts'
import type { ResidencyTable } from './residency-table.ts'
import type { StoreContext } from './store-context.ts'

/** Interface of a stored image to verification. */
export interface VerifierTarget {
  readonly image: Image
  readonly file: StoreFile
  readonly residency: ResidencyTable
  readonly geometry: Geometry
  held(object: number): bigint
  /** Revoke, forget, punch. */
  drop(object: number, blocks: bigint): Promise<void>
}

export interface VerifierContext {
  readonly index: IndexDatabase
  readonly health: DiskHealth
  readonly logger: Logger
  readonly proofOf: StoreContext['proofOf']
}

export class BlockVerifier {
  readonly #target: VerifierTarget
  readonly #parts: VerifierContext
  #corruptBlocks = 0

  constructor(target: VerifierTarget, parts: VerifierContext) {
    this.#target = target
    this.#parts = parts
  }

  /** Blocks that failed their checksum since boot. */
  get corruptBlocks(): number {
    return this.#corruptBlocks
  }

  /** Verify those of `blocks` that are held and not published. The caller holds the object's lock. */
  async verify(object: number, blocks: bigint): Promise<void> {
    const { image, residency, held } = this.#target
    const { index } = this.#parts
    const unverified = held(object) & ~residency.resident(object) & blocks
    if (unverified === 0n) return
    const stored = index.sums(image.id, object)
    const summed = unverified & (stored?.blocks ?? 0n)
    const found = stored && summed !== 0n ? await this.#compare(object, summed, stored.sums, false) : nothingFound
    residency.publish(object, found.good)
    await this.#settle(object, unverified, found)
  }

  /** See {@link StoredImage.scrub}. The caller holds the object's lock. */
  async scrub(object: number, blocks: bigint, fromDisk: boolean): Promise<bigint> {
    const { image, residency, held } = this.#target
    const unpublished = held(object) & ~residency.resident(object) & blocks
    const recorded = this.#parts.index.sums(image.id, object)
    const summed = held(object) & blocks & (recorded?.blocks ?? 0n)
    let found: Verified | null = nothingFound
    if (recorded && summed !== 0n) {
      found = await this.#parts.health.watchRead(this.#compare(object, summed, recorded.sums, fromDisk), null)
    }
    if (found === null) return 0n
    residency.publish(object, found.good & unpublished)
    // Blocks taken over at boot without a checksum cannot be trusted; blocks written since will have one.
    await this.#settle(object, summed | unpublished, found)
    return summed | unpublished
  }

  /** Of a sealed image, checksums are not enough: its hash tree has to say the same. */
  async #compare(object: number, blocks: bigint, sums: Uint32Array, fromDisk: boolean): Promise<Verified> {
    const { image, file, geometry } = this.#target
    const { objectBytes, sizeBytes } = geometry
    const offset = object * objectBytes
    const proof = await this.#parts.proofOf(image, offset, Math.min(objectBytes, sizeBytes - offset))
    return await file.verify(object, blocks, sums, fromDisk, proof)
  }

  /** Verify published blocks that a reader did not get: readers miss them meanwhile. The caller holds the lock. */
  verifyAgain(object: number, blocks: bigint): Promise<void> {
    this.#target.residency.revoke(object, blocks)
    return this.verify(object, blocks)
  }

  /** Give up those of the `compared` blocks that are of no use. */
  async #settle(object: number, compared: bigint, { good, unread }: Verified): Promise<void> {
    const { health } = this.#parts
    if (unread !== 0n) {
      const what = `${countOf(unread)} blocks of object ${object} of ${this.#target.image.key}`
      health.readFailed(new CacheError('store-failed', `${what} cannot be read`))
    }
    const bad = compared & ~good & ~unread
    this.#corruptBlocks += countOf(bad)
    await this.#giveUp(object, bad, 'blocks on disk differ from their checksums or their hash tree')
    if (health.mayRead) await this.#giveUp(object, unread, 'blocks on disk cannot be read')
  }

  /** Drop blocks. Where that fails they stay unpublished, and are tried again at their next read. */
  async #giveUp(object: number, blocks: bigint, why: string): Promise<void> {
    if (blocks === 0n) return
    const { health, logger } = this.#parts
    this.#target.residency.revoke(object, blocks)
    if (!health.mayWrite) return
    const { image, geometry } = this.#target
    const { blockBytes } = geometry
    const offsets = runsOf(blocks).flatMap(run => {
      const { offset } = geometry.bytesOf(object, run)
      return Array.from({ length: run.count }, (_, k) => offset + k * blockBytes)
    })
    const fields = { image: image.key, object, blocks: countOf(blocks), offsets }
    logger.warn(fields, `${why}; they are dropped and fetched again`)
    await this.#target.drop(object, blocks).catch(error => health.writeFailed(error))
  }
}

const nothingFound: Verified = { good: 0n, unread: 0n }
