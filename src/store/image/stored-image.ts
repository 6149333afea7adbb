/**
 * One image in the store: its data file, its residency, and the only code that changes either.
 *
 * `held` are the blocks whose bytes lie in the file by our account; `zero`, a subset, are those that are holes;
 * resident blocks (published in the table) are a subset of `held`, and the rest of `held` was recorded before this boot
 * and has not been verified yet. Every change of an object happens under the object's lock.
 */
import { CacheError } from '../../base/errors.ts'
import { allBlocks, type BlockRun, countOf, Geometry, type Image, type ObjectPart, runsOf } from '../../base/image.ts'
import type { StoreFile } from '../../native/addon.ts'
import { BlockBitmap } from './block-bitmap.ts'
import { BlockVerifier } from './block-verifier.ts'
import { BlockWriter, type Extent, type WriteOutcome } from './block-writer.ts'
import { ClaimTable } from './claim-table.ts'
import { KernelRefs } from './kernel-refs.ts'
import { ResidencyTable } from './residency-table.ts'
import type { StoreContext } from './store-context.ts'
import { UsageGate } from './usage-gate.ts'

export class StoredImage {
  readonly image: Image
  readonly geometry: Geometry
  readonly file: StoreFile
  readonly residency: ResidencyTable
  /** The blocks that are on their way. */
  readonly claims: ClaimTable
  readonly usageGate = new UsageGate() // Eviction is not counted: it has the locks, and finds nothing held.
  readonly #parts: StoreContext
  readonly #held = new BlockBitmap()
  readonly #zero = new BlockBitmap()
  /** Held blocks with damaged bytes, which must stay where they are until right ones are written over them. */
  readonly #damaged = new BlockBitmap()
  /** References of the kernel to the data file. */
  readonly kernelRefs: KernelRefs
  readonly #verification: BlockVerifier
  readonly #landing: BlockWriter
  #directorySynced = false
  /** A sync that failed may have lost any byte that was written before it ended, and the next one will not say so. */
  #failedSyncs = 0

  constructor(image: Image, blockBytes: number, file: StoreFile, parts: StoreContext) {
    this.image = image
    this.geometry = new Geometry(image.sizeBytes, blockBytes)
    this.file = file
    this.claims = new ClaimTable(file.claims)
    this.residency = new ResidencyTable(file.table, this.claims)
    this.#parts = parts
    const target = {
      image,
      file,
      residency: this.residency,
      geometry: this.geometry,
      held: (object: number) => this.held(object),
      drop: (object: number, blocks: bigint) => this.#drop(object, blocks),
    }
    this.#verification = new BlockVerifier(target, parts)
    this.kernelRefs = new KernelRefs(file)
    const masks = { held: this.#held, zero: this.#zero, damaged: this.#damaged }
    this.#landing = new BlockWriter(this, masks, parts)
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

  /** Is every block verified, published and recorded? */
  get isSound(): boolean {
    return this.complete && this.residency.isWhole(this.geometry) && !this.#parts.committer.hasPending(this)
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

  /** Blocks whose bytes are to be written again: see {@link KernelRefs}. */
  damaged(object: number): bigint {
    return this.#damaged.get(object)
  }

  damagedObjects(): Generator<number> {
    return this.#damaged.objects()
  }

  /** Objects of which at least one block is held. */
  get objects(): number {
    return this.#held.objectCount
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

  /** This object is being read, here or from the origin. */
  touch(object: number): void {
    this.residency.touch(object, this.#parts.tick())
  }

  /** The same, at an earlier time. */
  touchAt(object: number, tick: number): void {
    this.residency.touch(object, tick)
  }

  /** Take over a record at boot: held, not published. */
  adopt(object: number, { resident, zero }: { readonly resident: bigint; readonly zero: bigint }): void {
    this.#directorySynced = true
    this.#held.add(object, resident)
    this.claims.addUnverified(object, resident)
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
   * After false, `target` may still be written to: it must not be used. Blocks that are there and unreadable have been
   * verified again by then, so that the next look finds them right or missing.
   */
  read(offset: number, target: Uint8Array): Promise<boolean> {
    return this.usageGate.enter(() => this.#read(offset, target), false)
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
    // They were not taken away: it was the disk.
    if (whole === false && wasResident && isUnchanged) {
      const again = (part: ObjectPart) => () => this.#verification.verifyAgain(part.object, part.blocks)
      await health.watchRead(Promise.all(parts.map(part => this.#locked([part.object], undefined, again(part)))), null)
    }
    return whole === true
  }

  /**
   * Compare held blocks with their checksums, publish the good ones and give up the bad ones. Unreadable blocks are
   * given up too while the disk otherwise works; while it does not, they stay as they are. Never rejects.
   */
  verify(object: number, blocks: bigint): Promise<void> {
    let hasBegun = false
    const verified = this.#locked([object], undefined, () => {
      hasBegun = true
      return this.#verification.verify(object, blocks)
    })
    return this.#parts.health.watchRead(verified, undefined, () => hasBegun)
  }

  /**
   * Compare held blocks with their checksums, published or not, as the disk has them (or, not `fromDisk`, as readers
   * see them): good ones are published, bad ones given up. Blocks whose batch is not recorded yet are passed over, and
   * so are all when the disk does not answer in time. Is no use of the object.
   * @returns the blocks that were compared
   * @throws CacheError index-failed
   */
  scrub(object: number, blocks: bigint, fromDisk: boolean): Promise<bigint> {
    return this.#locked([object], 0n, () => this.#verification.scrub(object, blocks, fromDisk))
  }

  /**
   * Put extents into the store together and let readers have them. Never throws: what cannot be stored is only slower.
   * @param toDisk leave nothing in the page cache, if possible
   * @returns an outcome for each
   */
  writeExtents(extents: readonly Extent[], toDisk = false): Promise<readonly WriteOutcome[]> {
    const objects = extents.map(({ object }) => object)
    const refused = extents.map((): WriteOutcome => 'failed')
    return this.#locked(objects, refused, () => this.#landing.writeExtents(extents, toDisk))
  }

  /** One extent; see {@link writeExtents}. */
  async writeBlocks(object: number, first: number, bytes: Uint8Array): Promise<WriteOutcome> {
    const [outcome] = await this.writeExtents([{ object, first, bytes }])
    return outcome!
  }

  get failedSyncs(): number {
    return this.#failedSyncs
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
    return this.#locked([object], undefined, () => this.#drop(object, blocks & this.held(object)))
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

  /**
   * Second half, once the records are durably gone. Punched up to a whole block, past the end of the file if need be.
   */
  async finishEviction(object: number): Promise<number> {
    const bytes = this.allocatedBytes(object)
    const { objectBytes } = this.geometry
    await this.#parts.capacity.release(bytes, () => this.file.punch(object * objectBytes, objectBytes))
    for (const masks of [this.#held, this.#zero, this.#damaged]) masks.remove(object, allBlocks)
    return bytes
  }

  /** Punch what lies in the file at `object` and is not held. */
  punchOrphans(object: number): Promise<void> {
    return this.#locked([object], undefined, async () => {
      if (this.kernelRefs.exist) return // Not now; the next start looks again.
      const kept = this.held(object) & ~this.zero(object)
      for (const run of runsOf(~kept & allBlocks)) await this.#punch(object, run)
    })
  }

  lockKey(object: number): string {
    return `${this.imageId}/${object}`
  }

  /**
   * Revoke, forget durably, punch. A file with kernel references is not punched: right bytes are to be written over
   * these. The caller holds the lock.
   */
  async #drop(object: number, blocks: bigint): Promise<void> {
    if (blocks === 0n) return
    const isRead = this.kernelRefs.exist
    this.#revoke(object, blocks)
    await this.#parts.index.forget([{ imageId: this.imageId, object, blocks }])
    if (isRead) {
      this.#damaged.add(object, blocks & this.held(object))
      return
    }
    const bytes = countOf(blocks & ~this.zero(object)) * this.geometry.blockBytes
    await this.#parts.capacity.release(bytes, async () => {
      for (const run of runsOf(blocks)) await this.#punch(object, run)
    })
    for (const masks of [this.#held, this.#zero, this.#damaged]) masks.remove(object, blocks)
  }

  /** Take blocks from readers, and from the batch that would record them. */
  #revoke(object: number, blocks: bigint): void {
    this.residency.revoke(object, blocks)
    this.#parts.committer.revoke(this.lockKey(object), blocks)
  }

  /** Let the page cache forget `count` blocks of the image from `first` on. Never rejects: it is no promise. */
  async dropPages(first: number, count: number): Promise<void> {
    const { blockBytes } = this.geometry
    await this.file.dropPages(first * blockBytes, count * blockBytes).catch(() => {})
  }

  async punchIfAlone(object: number, run: BlockRun): Promise<void> {
    if (!this.kernelRefs.exist) await this.#punch(object, run)
  }

  #punch(object: number, run: BlockRun): Promise<void> {
    return this.file.punch(this.geometry.bytesOf(object, run).offset, run.count * this.geometry.blockBytes)
  }

  /** Do `work` holding the locks of `objects`; `otherwise` once the image is retired. */
  #locked<T>(objects: readonly number[], otherwise: T, work: () => Promise<T>): Promise<T> {
    for (const object of objects) {
      if (object >= 0 && object < this.geometry.objects) continue
      const has = `${this.image.key} has ${this.geometry.objects} objects`
      throw new CacheError('invalid-argument', `${has}, not one of number ${object}`)
    }
    const keys = objects.map(object => this.lockKey(object))
    return this.usageGate.enter(() => this.#parts.locks.runAll(keys, work), otherwise)
  }
}
