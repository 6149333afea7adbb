/**
 * One image in the store: its data file, its residency, and the only code that changes either.
 *
 * `held` are the blocks whose bytes lie in the file by our account; `zero`, a subset, are those that are holes; resident
 * blocks (published in the table) are a subset of `held`, and the rest of `held` was recorded before this boot and has not
 * been verified yet. Everything that changes an object holds the object's lock.
 */
import { CacheError, messageOf } from '../errors.ts'
import { allBlocks, type BlockRun, countOf, Geometry, type Image, maskOf, type ObjectPart, runsOf } from '../image.ts'
import type { StoreFile } from '../native/addon.ts'
import { Attendance } from './attendance.ts'
import { BlockMasks } from './block-masks.ts'
import { overheadBytesPerEntry } from './capacity.ts'
import { Residency } from './residency.ts'
import type { StoreParts } from './store-parts.ts'
import { Verification } from './verification.ts'

/** What became of blocks that were offered: written, or why not. */
export type LandResult = 'landed' | 'held-already' | 'full' | 'failed'

export class StoredImage {
  readonly image: Image
  readonly geometry: Geometry
  readonly file: StoreFile
  readonly residency: Residency
  readonly attendance = new Attendance() // Eviction is not counted: it has the locks, and finds nothing held.
  readonly #parts: StoreParts
  readonly #held = new BlockMasks()
  readonly #zero = new BlockMasks()
  readonly #verification: Verification
  #directorySynced = false
  /** A sync that failed may have lost any byte that was written before it ended, and the next one will not say so. */
  #failedSyncs = 0

  constructor(image: Image, blockBytes: number, file: StoreFile, parts: StoreParts) {
    this.image = image
    this.geometry = new Geometry(image.sizeBytes, blockBytes)
    this.file = file
    this.residency = new Residency(file.table)
    this.#parts = parts
    const target = {
      image,
      file,
      residency: this.residency,
      held: (object: number) => this.held(object),
      drop: (object: number, blocks: bigint) => this.#drop(object, blocks),
    }
    this.#verification = new Verification(target, parts)
  }

  get imageId(): string {
    return this.image.id
  }

  get heldBytes(): number {
    return Math.min(this.#held.count * this.geometry.blockBytes, this.image.sizeBytes)
  }

  /** Of what is held, what is known to be zeros and takes no space. */
  get zeroBytes(): number {
    return Math.min(this.#zero.count * this.geometry.blockBytes, this.heldBytes)
  }

  /** Is every block held? An empty image is. */
  get complete(): boolean {
    return this.#held.count === Math.ceil(this.image.sizeBytes / this.geometry.blockBytes)
  }

  /** Blocks that failed their checksum since boot, or had none. */
  get corruptBlocks(): number {
    return this.#verification.corruptBlocks
  }

  held(object: number): bigint {
    return this.#held.get(object)
  }

  /** Blocks that are known to be all zeros. */
  zero(object: number): bigint {
    return this.#zero.get(object)
  }

  heldObjects(): Generator<number> {
    return this.#held.objects()
  }

  /** Bytes that evicting this object would free. */
  allocatedBytes(object: number): number {
    return countOf(this.#held.get(object) & ~this.#zero.get(object)) * this.geometry.blockBytes
  }

  generation(object: number): number {
    return this.residency.generation(object)
  }

  /** Somebody reads this object now, be it here or not. */
  touch(object: number): void {
    this.residency.touch(object, this.#parts.tick())
  }

  /** Take over a record at boot: held, not published. */
  adopt(object: number, { resident, zero }: { readonly resident: bigint; readonly zero: bigint }): void {
    this.#directorySynced = true
    this.#held.add(object, resident)
    if (zero !== 0n) this.#zero.add(object, zero)
    this.#parts.capacity.adopt(countOf(resident & ~zero) * this.geometry.blockBytes)
  }

  /** Object and last use of all that is held, in pairs. */
  recency(): Uint32Array {
    const pairs: number[] = []
    for (const object of this.#held.objects()) pairs.push(object, this.residency.lastUse(object))
    return Uint32Array.from(pairs)
  }

  /**
   * Read resident bytes; false when any of them is not (or no longer) there, or the disk does not give them in time.
   * After false, `target` may still be written to: nobody may use it. Blocks that are there and cannot be read have been
   * verified again by then, so that the next look finds them right or missing.
   */
  read(offset: number, target: Uint8Array): Promise<boolean> {
    return this.attendance.during(() => this.#read(offset, target), false)
  }

  async #read(offset: number, target: Uint8Array): Promise<boolean> {
    const { health } = this.#parts
    if (!health.mayWait) return false
    const parts = this.geometry.parts(offset, target.length)
    const generations = parts.map(({ object }) => this.generation(object))
    const wasResident = parts.every(({ object, blocks }) => (blocks & ~this.residency.resident(object)) === 0n)
    const whole = await health.watchRead(this.file.read(offset, target), null)
    const isUnchanged = parts.every(({ object, blocks }, k) => {
      return this.generation(object) === generations[k] && (blocks & ~this.residency.resident(object)) === 0n
    })
    // Nobody took them away: it was the disk.
    if (whole === false && wasResident && isUnchanged) {
      const again = (part: ObjectPart) => () => this.#verification.verifyAgain(part.object, part.blocks)
      await health.watchRead(Promise.all(parts.map(part => this.#locked(part.object, undefined, again(part)))), null)
    }
    return whole === true
  }

  /**
   * Compare held blocks with their checksums, publish the good ones and give up the bad ones. Blocks that cannot be read are
   * given up too while the disk otherwise works; while it does not, they stay as they are. Never rejects.
   */
  verify(object: number, blocks: bigint): Promise<void> {
    let hasBegun = false
    const verified = this.#locked(object, undefined, () => {
      hasBegun = true
      return this.#verification.verify(object, blocks)
    })
    return this.#parts.health.watchRead(verified, undefined, () => hasBegun)
  }

  /**
   * Compare held blocks with their checksums, whether published or not, as the disk has them (or, not `fromDisk`, as readers
   * see them): good ones are published, bad ones given up. Blocks whose batch is not recorded yet are passed over, and so are
   * all when the disk does not answer in time. Is no use of the object.
   * @returns the blocks that were compared
   * @throws CacheError index-failed
   */
  scrub(object: number, blocks: bigint, fromDisk: boolean): Promise<bigint> {
    return this.#locked(object, 0n, () => this.#verification.scrub(object, blocks, fromDisk))
  }

  /**
   * Put an extent into the store and let readers have it. `bytes` are whole blocks from `first` on, or reach the end of
   * the image. Never throws: what cannot be stored is only slower.
   */
  land(object: number, first: number, bytes: Uint8Array): Promise<LandResult> {
    const run = { first, count: Math.ceil(bytes.length / this.geometry.blockBytes) }
    return this.#locked<LandResult>(object, 'failed', async () => {
      const missing = maskOf(run) & ~this.held(object)
      if (missing === 0n) return 'held-already'
      let result: LandResult = 'held-already'
      for (const part of runsOf(missing)) {
        const start = (part.first - first) * this.geometry.blockBytes
        result = await this.#landRun(object, part, bytes.subarray(start, start + part.count * this.geometry.blockBytes))
        if (result !== 'landed') break
      }
      return result
    })
  }

  /** Make what was written durable, the file's name included. */
  async sync(): Promise<void> {
    try {
      await this.file.sync()
    } catch (error) {
      this.#failedSyncs++
      throw error
    }
    if (this.#directorySynced) return
    await this.#parts.syncDirectory()
    this.#directorySynced = true
  }

  /** Give up blocks that did not become durable. */
  abandon(object: number, blocks: bigint): Promise<void> {
    return this.#locked(object, undefined, () => this.#drop(object, blocks & this.held(object)))
  }

  /**
   * First half of an eviction; the caller holds the object's lock. Readers lose the object; its bytes are still there.
   * @returns the blocks that were held, to be forgotten by the index and then punched by {@link finishEviction}
   */
  beginEviction(object: number): bigint {
    const held = this.held(object)
    this.#revoke(object, allBlocks)
    return held
  }

  /** Second half, once the records are durably gone. Punched up to a whole block, past the end of the file if need be. */
  async finishEviction(object: number): Promise<number> {
    const bytes = this.allocatedBytes(object)
    const { objectBytes } = this.geometry
    await this.#parts.capacity.release(bytes, () => this.file.punch(object * objectBytes, objectBytes))
    this.#held.remove(object, this.held(object))
    this.#zero.remove(object, this.zero(object))
    return bytes
  }

  /** Punch what lies in the file at `object` and is not held. */
  punchOrphans(object: number): Promise<void> {
    return this.#locked(object, undefined, async () => {
      const kept = this.held(object) & ~this.zero(object)
      for (const run of runsOf(~kept & allBlocks)) await this.#punch(object, run)
    })
  }

  lockKey(object: number): string {
    return `${this.imageId}/${object}`
  }

  async #landRun(object: number, run: BlockRun, bytes: Uint8Array): Promise<LandResult> {
    const { capacity, committer, health, logger } = this.#parts
    if (!health.mayWrite) return 'failed'
    const blocks = maskOf(run)
    const reserved = run.count * this.geometry.blockBytes + overheadBytesPerEntry
    if (!capacity.reserve(reserved)) {
      void committer.flush() // What is pending is given back then. Never rejects.
      return 'full'
    }
    const { offset } = this.geometry.bytesOf(object, run)
    const failedSyncs = this.#failedSyncs
    try {
      const landed = await health.watchWrite(this.file.land(offset, bytes))
      if (this.#failedSyncs !== failedSyncs) throw new CacheError('store-failed', 'a sync failed meanwhile')
      const zero = (landed.zero << BigInt(run.first)) & blocks
      this.#held.add(object, blocks)
      this.#zero.add(object, zero)
      // The overhead stays pending: the committer settles it when the disk has been measured.
      capacity.settle(reserved - overheadBytesPerEntry, countOf(blocks & ~zero) * this.geometry.blockBytes)
      this.residency.publish(object, blocks)
      committer.add({ target: this, object, first: run.first, blocks, landed, bytes: bytes.length })
      return 'landed'
    } catch (error) {
      // Of a sync that failed the health hears from the one who synced, with its errno.
      if (this.#failedSyncs === failedSyncs) health.writeFailed(error)
      logger.debug({ image: this.image.key, offset, err: error }, `an extent could not be stored: ${messageOf(error)}`)
      await this.#punch(object, run).catch(() => {}) // The same disk: what stays is an orphan, reclaimed at the next boot.
      capacity.settle(reserved, 0)
      return 'failed'
    }
  }

  /** Revoke, forget durably, punch. The caller holds the lock. */
  async #drop(object: number, blocks: bigint): Promise<void> {
    if (blocks === 0n) return
    this.#revoke(object, blocks)
    await this.#parts.index.forget([{ imageId: this.imageId, object, blocks }])
    const bytes = countOf(blocks & ~this.zero(object)) * this.geometry.blockBytes
    await this.#parts.capacity.release(bytes, async () => {
      for (const run of runsOf(blocks)) await this.#punch(object, run)
    })
    this.#held.remove(object, blocks)
    this.#zero.remove(object, blocks)
  }

  /** Take blocks from readers, and from the batch that would record them. */
  #revoke(object: number, blocks: bigint): void {
    this.residency.revoke(object, blocks)
    this.#parts.committer.revoke(this.lockKey(object), blocks)
  }

  #punch(object: number, run: BlockRun): Promise<void> {
    return this.file.punch(this.geometry.bytesOf(object, run).offset, run.count * this.geometry.blockBytes)
  }

  /** Do `work` holding the object's lock; `otherwise` once the image is retired. */
  #locked<T>(object: number, otherwise: T, work: () => Promise<T>): Promise<T> {
    const { objects } = this.geometry
    if (object < 0 || object >= objects) {
      throw new CacheError('invalid-argument', `${this.image.key} has ${objects} objects, not one of number ${object}`)
    }
    return this.attendance.during(() => this.#parts.locks.run(this.lockKey(object), work), otherwise)
  }
}
