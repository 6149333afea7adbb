/**
 * The index: known images, their names, and the blocks of each object that the store holds.
 *
 * It promises that a write whose promise has resolved is on disk, and that writes take effect in the order of the
 * calls. A record of an object implies durable bytes: callers sync the data before they call {@link
 * IndexDatabase.record}.
 */
import { CacheError, messageOf } from '../base/errors.ts'
import type { HeldDirectory } from '../base/held-directory.ts'
import type { Image } from '../base/image.ts'
import * as layout from './format/encoding.ts'
import { joinListing, splitListing } from './format/listing-chunks.ts'
import type {
  DigestRecord,
  ForgetEntry,
  HitSetRecord,
  ModeRecord,
  PinRecord,
  ProfileRecord,
  RecordEntry,
} from './format/records.ts'
import { reasonOf } from './guard/stray-rejection.ts'
import { type BinaryDatabase, type Environment, type IndexOptions, openEnvironment } from './lmdb-environment.ts'
import { ObjectRecords } from './object-records.ts'
import { keysOfOrigin, removeOriginRecords } from './origin-records.ts'
import { pageBytes } from './page-bytes.ts'
import { refusesTransaction, saysDamage } from './recovery/damage-error.ts'

/** An image and the node id that it keeps. */
export interface ImageEntry {
  readonly image: Image
  readonly nodeId: bigint
}

export class IndexDatabase {
  readonly #directory: string
  readonly #environment: Environment
  readonly #databases: Environment['databases']
  readonly #onWritten: () => void
  readonly #beforeWrite: IndexOptions['beforeWrite']
  readonly #objects: ObjectRecords
  #damagedValues = 0
  /** Calls of `#write`: one that was refused may be made again while it is the last. */
  #writes = 0
  /** LMDB could not follow its pages. */
  #isDamaged = false
  #closing: Promise<void> | undefined

  /**
   * Open or create the index in `directory`: one that is held until it is closed, or a path. One that may be damaged is
   * copied first: see salvage.ts. @throws CacheError index-failed
   */
  constructor(directory: HeldDirectory | string, options: IndexOptions = {}) {
    this.#directory = typeof directory === 'string' ? directory : directory.path
    this.#environment = options.environment ?? openEnvironment(directory, options.salvage)
    this.#databases = this.#environment.databases
    this.#objects = new ObjectRecords(this.#databases, (database, key, decode) => this.#get(database, key, decode))
    this.#onWritten = options.onWritten ?? (() => {})
    this.#beforeWrite = options.beforeWrite
  }

  /** Bytes that the index takes on disk. */
  get allocatedBytes(): number {
    return this.#environment.allocatedBytes
  }

  /** Bytes of the pages in use, 0 once it is closed; the file keeps freed pages for later. */
  get recordBytes(): number {
    if (this.#closing) return 0
    return pageBytes(this.#databases.residency) + pageBytes(this.#databases.sums)
  }

  /** All images, in the order of their ids. @throws CacheError index-failed */
  images(): ImageEntry[] {
    const entries: ImageEntry[] = []
    this.#forEach(this.#databases.images, {}, (key, value) => {
      const stored = layout.decodeJson<{ image: Image; nodeId: string }>(key, value)
      if (stored) entries.push({ image: stored.image, nodeId: BigInt(stored.nodeId) })
      else this.#damagedValues++
    })
    return entries
  }

  async putImage({ image, nodeId }: ImageEntry): Promise<void> {
    const key = layout.imageKey(image.id)
    const value = layout.encodeJson(key, { image, nodeId: nodeId.toString() })
    await this.#write(() => void this.#databases.images.put(key, value))
  }

  /** Forget all of an image; names that point to it stay for the caller to replace. */
  async removeImage(imageId: string): Promise<void> {
    const { images, digests, seals } = this.#databases
    await this.#write(() => {
      for (const database of [images, digests, seals]) void database.remove(layout.imageKey(imageId))
      this.#objects.removeAll(imageId)
    })
  }

  /** Forget the objects of an image, and its recency. */
  async removeObjects(imageId: string): Promise<void> {
    await this.#write(() => this.#objects.removeAll(imageId))
  }

  /** The image id that a name pointed to when it was last looked up. */
  name(origin: string, name: string): string | null {
    return (
      this.#get<{ imageId: string }>(this.#databases.names, layout.nameKey(origin, name), layout.decodeJson)?.imageId ??
      null
    )
  }

  /** Every name of an origin, with its image id. */
  names(origin: string): { name: string; imageId: string }[] {
    return this.#ofOrigin<{ imageId: string }>(this.#databases.names, origin)
  }

  async putName(origin: string, name: string, imageId: string): Promise<void> {
    const key = layout.nameKey(origin, name)
    await this.#write(() => void this.#databases.names.put(key, layout.encodeJson(key, { imageId })))
  }

  async removeName(origin: string, name: string): Promise<void> {
    await this.#write(() => void this.#databases.names.remove(layout.nameKey(origin, name)))
  }

  /** Every pinned name of an origin, whether it means an image now or not. */
  pins(origin: string): PinRecord[] {
    return this.#ofOrigin<{ pinnedMs: number }>(this.#databases.pins, origin)
  }

  async putPin(origin: string, { name, pinnedMs }: PinRecord): Promise<void> {
    const key = layout.nameKey(origin, name)
    await this.#write(() => void this.#databases.pins.put(key, layout.encodeJson(key, { pinnedMs })))
  }

  /** The learned profile of a name of an origin, of any version. */
  profile(origin: string, name: string): ProfileRecord | null {
    return this.#get(this.#databases.profiles, layout.nameKey(origin, name), layout.decodeJson<ProfileRecord>)
  }

  async putProfile(origin: string, name: string, record: ProfileRecord): Promise<void> {
    const key = layout.nameKey(origin, name)
    await this.#write(() => void this.#databases.profiles.put(key, layout.encodeJson(key, record)))
  }

  async removeProfile(origin: string, name: string): Promise<void> {
    await this.#write(() => void this.#databases.profiles.remove(layout.nameKey(origin, name)))
  }

  async removePin(origin: string, name: string): Promise<void> {
    await this.#write(() => void this.#databases.pins.remove(layout.nameKey(origin, name)))
  }

  /** The modes that operators said of an origin and its images; of the mount under an empty origin. */
  modes(origin: string): ModeRecord[] {
    return this.#ofOrigin<Omit<ModeRecord, 'name'>>(this.#databases.modes, origin)
  }

  async putMode(origin: string, { name, mode, over }: ModeRecord): Promise<void> {
    const key = layout.nameKey(origin, name)
    await this.#write(() => void this.#databases.modes.put(key, layout.encodeJson(key, { mode, over })))
  }

  async removeMode(origin: string, name: string): Promise<void> {
    await this.#write(() => void this.#databases.modes.remove(layout.nameKey(origin, name)))
  }

  /** The last listing of an origin. Not while it is being put: it has several values. */
  listing(origin: string): Promise<string[] | null> {
    const get = <T>(key: Buffer) => this.#get<T>(this.#databases.listings, key, layout.decodeJson)
    return joinListing(origin, get)
  }

  async putListing(origin: string, names: readonly string[]): Promise<void> {
    const { listings } = this.#databases
    const pieces = await splitListing(origin, names)
    await this.#write(() => {
      for (const key of keysOfOrigin(listings, origin, Number.POSITIVE_INFINITY)) void listings.remove(key)
      for (const [key, value] of pieces) void listings.put(key, value)
    })
  }

  /** Forget what belongs to an origin: see origin-records.ts. Its images are forgotten one by one. */
  async removeOrigin(origin: string): Promise<void> {
    await removeOriginRecords(this.#databases, origin, action => this.#write(action))
  }

  /** Call `visit` for each object with a record, by image, in ascending order. @throws CacheError index-failed */
  forEachObject(visit: (imageId: string, object: number, record: layout.ObjectRecord) => void): void {
    let imageKey = Buffer.alloc(16)
    let imageId = imageKey.toString('hex')
    this.#forEach(this.#databases.residency, {}, (key, value) => {
      const record = layout.decodeRecord(key, value)
      if (!record) {
        this.#damagedValues++
        return
      }
      if (key.compare(imageKey, 0, 16, 0, 16) !== 0) {
        imageKey = Buffer.from(key.subarray(0, 16))
        imageId = imageKey.toString('hex')
      }
      visit(imageId, key.readUInt32BE(16), record)
    })
  }

  /** The checksums of an object, or null where it has none. */
  sums(imageId: string, object: number): layout.ObjectSums | null {
    return this.#get(this.#databases.sums, layout.objectKey(imageId, object), layout.decodeSums)
  }

  /** Values that were not as they had been written, and counted as absent. */
  get damagedValues(): number {
    return this.#damagedValues
  }

  /** Add blocks to records, all in one transaction. Blocks are OR-ed into what is stored. */
  async record(entries: readonly RecordEntry[]): Promise<void> {
    await this.#write(() => {
      for (const entry of entries) this.#objects.add(entry, entry.blocks())
    })
  }

  /** Take blocks out of records, all in one transaction. */
  async forget(entries: readonly ForgetEntry[]): Promise<void> {
    await this.#write(() => {
      for (const entry of entries) this.#objects.subtract(entry)
    })
  }

  /** Object and lastUse in pairs, as they were last saved. */
  recency(imageId: string): Uint32Array | null {
    return this.#get(this.#databases.recency, layout.imageKey(imageId), layout.decodeRecency)
  }

  async putRecency(imageId: string, pairs: Uint32Array): Promise<void> {
    const key = layout.imageKey(imageId)
    await this.#write(() => void this.#databases.recency.put(key, layout.encodeRecency(key, pairs)))
  }

  /** The outcome of comparing the whole image with its publisher's digest; null where there was none. */
  digest(imageId: string): DigestRecord | null {
    return this.#get(this.#databases.digests, layout.imageKey(imageId), layout.decodeJson<DigestRecord>)
  }

  async putDigest(imageId: string, record: DigestRecord): Promise<void> {
    const key = layout.imageKey(imageId)
    await this.#write(() => void this.#databases.digests.put(key, layout.encodeJson(key, record)))
  }

  /** The hit sets of an origin, newest first. */
  hitSets(origin: string): HitSetRecord[] {
    const start = layout.originKey(origin)
    const found: HitSetRecord[] = []
    this.#forEach(this.#databases.hitsets, { start }, (key, value) => {
      if (!key.subarray(0, 16).equals(start)) return false
      const record = layout.decodeHitSetRecord(key, value)
      if (record) found.unshift(record)
      else this.#damagedValues++
      return true
    })
    return found
  }

  /** @param startedMs begins of the periods whose sets stay; others go */
  async putHitSets(origin: string, changed: readonly HitSetRecord[], startedMs: readonly number[]): Promise<void> {
    const { hitsets } = this.#databases
    const kept = startedMs.map(ms => layout.hitSetKey(origin, ms))
    const [start, end] = [0, Number.MAX_SAFE_INTEGER].map(ms => layout.hitSetKey(origin, ms)) as [Buffer, Buffer]
    await this.#write(() => {
      for (const key of [...hitsets.getKeys({ start, end })].map(view => Buffer.from(view))) {
        if (!kept.some(each => each.equals(key))) void hitsets.remove(key)
      }
      for (const record of changed) {
        const key = layout.hitSetKey(origin, record.startedMs)
        void hitsets.put(key, layout.encodeHitSet(key, record))
      }
    })
  }

  /** Numbers that outlive restarts, as they were put under a name. */
  counters<T extends object>(name: string): T | null {
    return this.#get(this.#databases.counters, Buffer.from(name), layout.decodeJson<T>)
  }

  async putCounters(name: string, counters: object): Promise<void> {
    const key = Buffer.from(name)
    await this.#write(() => void this.#databases.counters.put(key, layout.encodeJson(key, counters)))
  }

  /** The seal of an image: see origin/sealed/seal.ts; null where none was found. */
  seal(imageId: string): object | null {
    return this.#get(this.#databases.seals, layout.imageKey(imageId), layout.decodeJson<object>)
  }

  async putSeal(imageId: string, record: object): Promise<void> {
    const key = layout.imageKey(imageId)
    await this.#write(() => void this.#databases.seals.put(key, layout.encodeJson(key, record)))
  }

  /** Write and sync something small. @throws CacheError index-failed */
  async probe(): Promise<void> {
    const key = Buffer.from('probe')
    await this.#write(() => void this.#databases.recency.put(key, layout.encodeJson(key, 0)))
    await this.#write(() => void this.#databases.recency.remove(key))
  }

  /** Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    await this.#beforeWrite?.().catch(() => {}) // What was written before has reached LMDB then.
    await this.#environment.close(this.#isDamaged)
  }

  /** Every name of an origin in a database whose keys are names, with its value. */
  #ofOrigin<T extends object>(database: BinaryDatabase, origin: string): ({ name: string } & T)[] {
    const start = layout.originKey(origin)
    const found: ({ name: string } & T)[] = []
    this.#forEach(database, { start }, (key, value) => {
      if (!key.subarray(0, 16).equals(start)) return false
      const stored = layout.decodeJson<T>(key, value)
      if (stored) found.push({ ...stored, name: key.toString('utf8', 16) })
      return true
    })
    return found
  }

  /** @param visit is called for each key from `start` on, until it returns false */
  #forEach(
    database: BinaryDatabase,
    start: { readonly start?: Buffer },
    visit: (key: Buffer, value: Buffer) => unknown,
  ): void {
    const entries = this.#read(() => database.getRange(start)[Symbol.iterator]())
    const next = () => entries.next()
    try {
      for (;;) {
        const { done, value: entry } = this.#read(next)
        if (done || visit(entry.key, entry.value) === false) return
      }
    } finally {
      entries.return?.()
    }
  }

  /** @throws CacheError index-failed for any error: one of the disk would be a signal here, so this is damage */
  #read<T>(step: () => T): T {
    try {
      return step()
    } catch (cause) {
      this.#isDamaged = true
      const what = `${this.#directory}: the index cannot be read: ${messageOf(cause)}`
      throw new CacheError('index-failed', `${what}: the next start copies the intact values`, { cause })
    }
  }

  /** A value, decoded; null where there is none, or where it is damaged or cannot be reached. */
  #get<T>(database: BinaryDatabase, key: Buffer, decode: (key: Buffer, value: Buffer) => T | null): T | null {
    const value = this.#reach(database, key)
    if (!value) return null
    const decoded = value === 'damaged' ? null : decode(key, value)
    if (decoded === null) this.#damagedValues++
    return decoded
  }

  #reach(database: BinaryDatabase, key: Buffer): Buffer | 'damaged' | undefined {
    try {
      return database.get(key)
    } catch {
      this.#isDamaged = true
      return 'damaged'
    }
  }

  // Always a transaction: lmdb runs those in the order of the calls, single puts of a batch before all of them.
  async #write(change: () => void): Promise<void> {
    if (this.#closing) throw new CacheError('closed', 'the index is closed')
    const write = ++this.#writes
    try {
      await this.#beforeWrite?.()
      await this.#environment.transaction(change).catch(async error => {
        const cause = await reasonOf(error)
        if (!refusesTransaction(cause) || write !== this.#writes) throw cause
        await this.#environment.transaction(change)
      })
    } catch (error) {
      const cause = await reasonOf(error)
      this.#isDamaged ||= saysDamage(cause)
      throw new CacheError('index-failed', `${this.#directory}: the index cannot be written: ${messageOf(cause)}`, {
        cause,
      })
    } finally {
      this.#onWritten()
    }
  }
}
