/**
 * The store: the data files of all images, their residency, and the order data, sync, record.
 *
 * This room is the only one that changes a data file or a residency table, and the only one that reads them. At boot it
 * takes over what the index records and publishes none of it: a block is verified at its first read.
 */

import { KeyedMutex } from '../async/keyed-mutex.ts'
import { runAfter } from '../async/timers.ts'
import { CacheError } from '../base/errors.ts'
import type { Image } from '../base/image.ts'
import type { Logger } from '../base/logger.ts'
import type { IndexDatabase } from '../index/index-database.ts'
import { Capacity, overheadBytesPerEntry, type Watermarks } from './disk/capacity.ts'
import type { DataDirectory } from './disk/data-directory.ts'
import { DiskHealth } from './disk/disk-health.ts'
import { DiskProbe } from './disk/disk-probe.ts'
import { type DiskTimeouts, diskTimeoutsDefault } from './disk/disk-timeouts.ts'
import { OpenBackoff } from './disk/open-backoff.ts'
import { type EvictionCandidate, evictLocked } from './evict-objects.ts'
import { FileOpener } from './file-opener.ts'
import { Committer } from './image/committer.ts'
import type { StoreContext } from './image/store-context.ts'
import { StoredImage } from './image/stored-image.ts'
import { ImageRemoval } from './image-removal.ts'
import { indexShareMax, indexWriteBytes } from './limits.ts'
import { loadIndex } from './load-index.ts'
import { punchOrphans } from './orphan-blocks.ts'

export interface StoreOptions {
  readonly directory: DataDirectory
  readonly blockBytes: number
  readonly capacityBytes: number
  /** Other than the defaults. */
  readonly watermarks?: Watermarks
  readonly timing?: DiskTimeouts
  readonly index: IndexDatabase
  readonly logger: Logger
  /** The tick of now, for `lastUse`. */
  readonly tick: () => number
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Bytes that hash trees take on disk; none when absent. */
  readonly trees?: { readonly allocatedBytes: number; remove(imageId: string): Promise<void> }
  /** Hears every change of the disk's health. */
  readonly onHealth?: (health: DiskHealth) => void
}

/**
 * Objects whose records are removed in one transaction, and so with one sync: 512 MiB at the default block size. The
 * main thread is busy with it for about 3 ms. With 64, an eviction of 100,000 scattered objects took 1.8 times as long.
 */
const evictionBatchObjects = 128

export class Store {
  readonly capacity: Capacity
  readonly health: DiskHealth
  readonly #options: StoreOptions
  readonly #parts: StoreContext
  readonly #images = new Map<string, StoredImage>()
  readonly #openings: FileOpener
  #latestUse = 0
  #indexBytes = 0
  #stopping = false
  /** Called when a batch was recorded and the disk measured: the index may have grown over its budget. */
  onRecorded: () => void = () => {}
  /** Called when blocks were written into data files, with their bytes. */
  onWritten: (bytes: number) => void = () => {}
  /** See {@link StoreContext.proofOf}. */
  proofOf: StoreContext['proofOf'] = async () => null
  /** See {@link StoreContext.takenOf}. */
  takenOf: StoreContext['takenOf'] = () => null
  #taken = { reflinkedBytes: 0, copiedBytes: 0 }
  readonly #failedFiles: OpenBackoff
  readonly #retirement: ImageRemoval
  #closing: Promise<void> | undefined

  private constructor(options: StoreOptions) {
    this.#options = options
    this.capacity = new Capacity(options.capacityBytes, options.watermarks)
    this.#failedFiles = new OpenBackoff(options.logger, options.now)
    const timing = options.timing ?? diskTimeoutsDefault
    const probe = new DiskProbe(options.directory, options.index, timing.writeMsMax)
    this.health = new DiskHealth({
      probe: () => probe.run().then(() => this.measure()),
      logger: options.logger,
      now: options.now,
      after: runAfter,
      onChange: options.onHealth ?? (() => {}),
      readingMs: () => options.directory.readingMs(),
      timing,
    })
    this.#openings = new FileOpener(this.health)
    this.#parts = {
      index: options.index,
      capacity: this.capacity,
      health: this.health,
      committer: new Committer({ ...options, health: this.health, timing, onCommitted: this.#committed.bind(this) }),
      locks: new KeyedMutex(),
      logger: options.logger,
      tick: options.tick,
      written: bytes => this.onWritten(bytes),
      syncDirectory: () => options.directory.sync(),
      proofOf: (...range) => this.proofOf(...range),
      takenOf: image => this.takenOf(image),
      fileOf: imageId => this.#images.get(imageId)?.file ?? null,
      onTaken: (reflinkedBytes, copiedBytes) => {
        this.#taken.reflinkedBytes += reflinkedBytes
        this.#taken.copiedBytes += copiedBytes
      },
    }
    this.#retirement = new ImageRemoval({ ...this.#parts, images: this.#images, directory: options.directory })
  }

  /** Bytes that were taken from older versions: their places shared by the file system, or written once more. */
  get taken(): { readonly reflinkedBytes: number; readonly copiedBytes: number } {
    return { ...this.#taken }
  }

  /**
   * Load the index. Records whose file is missing or has another size are dropped.
   * @throws CacheError index-failed, store-failed
   */
  static async open(options: StoreOptions): Promise<Store> {
    const store = new Store(options)
    const open = (image: Image) => store.#open(image)
    store.#latestUse = await loadIndex({ ...options, images: store.#images, open })
    store.measure()
    return store
  }

  /** The largest `lastUse` that was saved: the clock of recency goes on from there. */
  get latestUse(): number {
    return this.#latestUse
  }

  get blockBytes(): number {
    return this.#options.blockBytes
  }

  /** The tick of now: what `lastUse` counts in. */
  get tick(): number {
    return this.#options.tick()
  }

  /** Every image that has a data file. */
  images(): Iterable<StoredImage> {
    return this.#images.values()
  }

  /** Objects of which at least one block is held. */
  get objects(): number {
    let objects = 0
    for (const stored of this.#images.values()) objects += stored.objects
    return objects
  }

  /** The image, if it has a data file. */
  find(imageId: string): StoredImage | null {
    return this.#images.get(imageId) ?? null
  }

  /**
   * The image, with its data file made when there is none; null when that fails (the log says why) or takes too long:
   * read by proxy then. An empty image has none. Never rejects.
   */
  async use(image: Image): Promise<StoredImage | null> {
    const known = this.#images.get(image.id)
    if (known) return known
    if (image.sizeBytes === 0 || this.#stopping || !this.health.mayWrite) return null
    if (!this.#failedFiles.mayTry(image)) return null
    return this.#openings.run(image.id, () => this.#tryOpen(image))
  }

  async #tryOpen(image: Image): Promise<StoredImage | null> {
    try {
      const stored = await this.#open(image)
      this.#failedFiles.succeeded(image)
      return stored
    } catch (error) {
      this.#failedFiles.failed(image, error)
      this.health.writeFailed(error)
      return null
    }
  }

  /**
   * Forget an image, with its data file if it has one: see image-removal.ts. A caller that records the image again
   * comes after this.
   * @returns false when it holds something or is in use: then nothing has changed
   * @throws CacheError index-failed; SystemError: then it stays for another try
   */
  async removeImage(imageId: string): Promise<boolean> {
    this.#failedFiles.forget(imageId)
    if (this.#stopping || this.#openings.isOpening(imageId)) return false
    const isRemoved = await this.#retirement.remove(imageId)
    if (isRemoved) await this.#options.trees?.remove(imageId)
    return isRemoved
  }

  /**
   * Do a small write to the index, of a value of `bytes`, if the ceiling allows.
   * @param isNeeded see Capacity.reserve
   * @returns whether it was done
   * @throws CacheError index-failed
   */
  async recordWithin(bytes: number, isNeeded: boolean, write: () => Promise<void>): Promise<boolean> {
    const reserved = bytes + indexWriteBytes
    if (!this.capacity.reserve(reserved, isNeeded)) {
      this.measure() // What earlier ones of these reserved is given back then.
      if (!this.capacity.reserve(reserved, isNeeded)) return false
    }
    try {
      await write()
      return true
    } finally {
      this.capacity.settleWhenMeasured(reserved)
    }
  }

  /**
   * Evict objects, in order; those used since they were chosen are kept.
   * @returns what was evicted
   * @throws CacheError index-failed; SystemError when a punch fails
   */
  async evict(candidates: readonly EvictionCandidate[]): Promise<{ objects: number; bytes: number }> {
    const total = { objects: 0, bytes: 0 }
    for (let at = 0; at < candidates.length && !this.#stopping; at += evictionBatchObjects) {
      const batch = candidates.slice(at, at + evictionBatchObjects)
      const keys = batch.map(({ stored, object }) => stored.lockKey(object))
      const evicted = await this.#parts.locks.runAll(keys, () => evictLocked(batch, this.#parts))
      total.objects += evicted.objects
      total.bytes += evicted.bytes
    }
    return total
  }

  /** Make what has landed durable; never rejects. */
  flush(): Promise<void> {
    return this.#parts.committer.flush()
  }

  /** Batches that were lost to the disk. */
  get failedBatches(): number {
    return this.#parts.committer.failures
  }

  /** Blocks that were found damaged since boot. */
  get corruptBlocks(): number {
    let blocks = 0
    for (const stored of this.#images.values()) blocks += stored.corruptBlocks
    return blocks
  }

  /** The share of its budget that the index took when the disk was last measured: over 1 it is spent. */
  get indexShare(): number {
    return this.#indexBytes / (this.capacity.capacityBytes * indexShareMax)
  }

  /** Read from the disk what the cache directory takes. */
  measure(): void {
    const { directory, index, trees } = this.#options
    const files = [...this.#images.values()].map(stored => stored.file)
    this.capacity.measured(directory.measure(files, index.allocatedBytes + (trees?.allocatedBytes ?? 0)))
    this.#indexBytes = index.recordBytes // LMDB takes 40 us to count: per batch, not per promotion.
  }

  /** Punch, in the background, what lies in data files without a record. Resolves when all files were walked. */
  async reclaimOrphans(): Promise<void> {
    for (const stored of [...this.#images.values()]) {
      await punchOrphans(stored, () => this.#stopping).catch(error =>
        this.#options.logger.warn(
          { image: stored.image.key, err: error },
          'orphans could not be punched; they stay until the next start',
        ),
      )
    }
    this.measure()
  }

  /** Save `lastUse` of every held object, of those images for which there is room. */
  async saveRecency(): Promise<void> {
    for (const stored of this.#images.values()) {
      if (stored.usageGate.isClosed) continue // It would come after its removal.
      const pairs = stored.recency()
      await this.recordWithin(pairs.byteLength, false, () => this.#options.index.putRecency(stored.imageId, pairs))
    }
  }

  /** Commit, save recency, close the files. Idempotent. The index stays open. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#stopping = true
    this.health.close()
    await this.flush()
    await this.saveRecency().catch(error => this.#options.logger.warn({ err: error }, 'recency could not be saved'))
    for (const stored of this.#images.values()) stored.file.close()
    this.#images.clear()
  }

  async #open(image: Image): Promise<StoredImage> {
    const { directory, blockBytes } = this.#options
    const file = await directory.open(image.id, image.sizeBytes, blockBytes)
    if (this.#stopping) {
      file.close()
      throw new CacheError('closed', `${image.key}: the store has closed meanwhile`)
    }
    const stored = new StoredImage(image, blockBytes, file, this.#parts)
    this.#images.set(image.id, stored)
    return stored
  }

  #committed(writes: number): void {
    try {
      this.measure()
    } catch (error) {
      this.#options.logger.error({ err: error }, 'the disk could not be measured')
    }
    this.capacity.settle(writes * overheadBytesPerEntry, 0)
    this.onRecorded()
  }
}
