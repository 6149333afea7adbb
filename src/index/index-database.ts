/**
 * The index: which images are known, under which names, and which blocks of which objects the store holds.
 *
 * It promises that a write whose promise has resolved is on disk, and that writes take effect in the order of the calls.
 * A record of an object implies durable bytes: callers sync the data before they call {@link IndexDatabase.record}.
 */
import { closeSync, mkdirSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { CacheError, messageOf } from '../errors.ts'
import type { Image } from '../image.ts'
import * as layout from './layout.ts'

/** An image and the node id that it keeps. */
export interface ImageEntry {
  readonly image: Image
  readonly nodeId: bigint
}

/** Blocks to be added to the record of one object. */
export interface RecordEntry {
  readonly imageId: string
  readonly object: number
  /** Asked inside the transaction: blocks that were revoked meanwhile are left out. */
  readonly blocks: () => bigint
  /** Those that are all zeros, where they are among `blocks`. */
  readonly zero: bigint
  /** 64 entries, valid where `blocks` has a bit. */
  readonly sums: Uint32Array
}

/** Blocks to be taken out of the record of one object; all 64 remove the record. */
export interface ForgetEntry {
  readonly imageId: string
  readonly object: number
  readonly blocks: bigint
}

type BinaryDatabase = Database<Buffer, Buffer>

export class IndexDatabase {
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #directory: string
  readonly #images: BinaryDatabase
  readonly #names: BinaryDatabase
  readonly #listings: BinaryDatabase
  readonly #residency: BinaryDatabase
  readonly #sums: BinaryDatabase
  readonly #recency: BinaryDatabase
  #closing: Promise<void> | undefined

  /**
   * Open or create the index in `directory`.
   * @throws CacheError index-failed
   */
  constructor(directory: string) {
    this.#directory = directory
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      checkMagic(join(directory, 'data.mdb'))
      const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
      // overlappingSync false: the promise of a write resolves when it is on disk. noSubdir false: the path is a directory
      // whatever its name, which lmdb otherwise guesses from a dot.
      const options = { path: directory, maxDbs: 8, overlappingSync: false, noSubdir: false, ...binary }
      this.#root = open<Buffer, Buffer>(options)
      const database = (name: string) => this.#root.openDB<Buffer, Buffer>({ name, ...binary })
      this.#images = database('images')
      this.#names = database('names')
      this.#listings = database('listings')
      this.#residency = database('residency')
      this.#sums = database('sums')
      this.#recency = database('recency')
    } catch (error) {
      throw new CacheError('index-failed', `${directory}: the index does not open: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  /** What the index takes on disk. */
  get allocatedBytes(): number {
    return ['data.mdb', 'lock.mdb']
      .map(name => statSync(join(this.#directory, name), { throwIfNoEntry: false }))
      .reduce((sum, stat) => sum + (stat?.blocks ?? 0) * 512, 0)
  }

  /** All images, in the order of their ids. */
  images(): ImageEntry[] {
    const entries: ImageEntry[] = []
    for (const { value } of this.#images.getRange({})) {
      const { image, nodeId } = layout.decodeJson(value) as { image: Image; nodeId: string }
      entries.push({ image, nodeId: BigInt(nodeId) })
    }
    return entries
  }

  async putImage({ image, nodeId }: ImageEntry): Promise<void> {
    const value = layout.encodeJson({ image, nodeId: nodeId.toString() })
    await this.#write(() => this.#images.put(layout.imageKey(image.id), value))
  }

  /** Forget an image, its objects and its recency. Names that point to it stay for the caller to replace. */
  async removeImage(imageId: string): Promise<void> {
    await this.#write(() =>
      this.#root.transaction(() => {
        void this.#images.remove(layout.imageKey(imageId)) // Part of the transaction, whose promise we await.
        void this.#recency.remove(layout.imageKey(imageId))
        const range = { start: layout.objectKey(imageId, 0), end: layout.objectKey(imageId, 0xffffffff) }
        for (const database of [this.#residency, this.#sums]) {
          for (const key of [...database.getKeys(range)]) void database.remove(Buffer.from(key))
        }
      }),
    )
  }

  /** The image id that a name pointed to when it was last looked up. */
  name(origin: string, name: string): string | null {
    const value = this.#names.get(layout.nameKey(origin, name))
    return value ? (layout.decodeJson(value) as { imageId: string }).imageId : null
  }

  /** Every name of an origin, with its image id. */
  names(origin: string): { name: string; imageId: string }[] {
    const start = layout.originKey(origin)
    const names: { name: string; imageId: string }[] = []
    for (const { key, value } of this.#names.getRange({ start })) {
      if (!key.subarray(0, 16).equals(start)) break
      names.push({ name: key.toString('utf8', 16), imageId: (layout.decodeJson(value) as { imageId: string }).imageId })
    }
    return names
  }

  async putName(origin: string, name: string, imageId: string): Promise<void> {
    await this.#write(() => this.#names.put(layout.nameKey(origin, name), layout.encodeJson({ imageId })))
  }

  async removeName(origin: string, name: string): Promise<void> {
    await this.#write(() => this.#names.remove(layout.nameKey(origin, name)))
  }

  /** The last listing of an origin. */
  listing(origin: string): string[] | null {
    const value = this.#listings.get(layout.originKey(origin))
    return value ? (layout.decodeJson(value) as string[]) : null
  }

  async putListing(origin: string, names: readonly string[]): Promise<void> {
    await this.#write(() => this.#listings.put(layout.originKey(origin), layout.encodeJson(names)))
  }

  /** Call `visit` for each object that has a record; the objects of an image come together, in ascending order. */
  forEachObject(visit: (imageId: string, object: number, record: layout.ObjectRecord) => void): void {
    for (const { key, value } of this.#residency.getRange({})) {
      visit(key.toString('hex', 0, 16), key.readUInt32BE(16), layout.decodeRecord(value))
    }
  }

  /** The checksums of an object, or null where it has none. */
  sums(imageId: string, object: number): layout.ObjectSums | null {
    const value = this.#sums.get(layout.objectKey(imageId, object))
    return value ? layout.decodeSums(value) : null
  }

  /** Add blocks to records, all in one transaction. Blocks are OR-ed into what is stored. */
  async record(entries: readonly RecordEntry[]): Promise<void> {
    await this.#write(() =>
      this.#root.transaction(() => {
        for (const entry of entries) this.#add(entry, entry.blocks())
      }),
    )
  }

  /** Take blocks out of records, all in one transaction. */
  async forget(entries: readonly ForgetEntry[]): Promise<void> {
    await this.#write(() =>
      this.#root.transaction(() => {
        for (const entry of entries) this.#subtract(entry)
      }),
    )
  }

  /** Object and lastUse in pairs, as they were last saved. */
  recency(imageId: string): Uint32Array | null {
    const value = this.#recency.get(layout.imageKey(imageId))
    return value ? layout.decodeRecency(value) : null
  }

  async putRecency(imageId: string, pairs: Uint32Array): Promise<void> {
    await this.#write(() => this.#recency.put(layout.imageKey(imageId), layout.encodeRecency(pairs)))
  }

  /** Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#root.close())
  }

  #add({ imageId, object, zero, sums }: RecordEntry, blocks: bigint): void {
    if (blocks === 0n) return
    const key = layout.objectKey(imageId, object)
    const stored = this.#residency.get(key)
    const record = stored ? layout.decodeRecord(stored) : { resident: 0n, zero: 0n }
    // A block that was recorded and comes again has new bytes: its zero bit is the new one.
    const next = { resident: record.resident | blocks, zero: (record.zero & ~blocks) | (zero & blocks) }
    void this.#residency.put(key, layout.encodeRecord(next)) // Part of the transaction, whose promise is awaited.
    const before = this.#sums.get(key)
    const merged = before ? layout.decodeSums(before) : { blocks: 0n, sums: new Uint32Array(64) }
    for (let k = 0; k < 64; k++) if (((blocks >> BigInt(k)) & 1n) === 1n) merged.sums[k] = sums[k]!
    void this.#sums.put(key, layout.encodeSums({ blocks: merged.blocks | blocks, sums: merged.sums }))
  }

  #subtract({ imageId, object, blocks }: ForgetEntry): void {
    const key = layout.objectKey(imageId, object)
    const stored = this.#residency.get(key)
    if (!stored) return
    const record = layout.decodeRecord(stored)
    const resident = record.resident & ~blocks
    if (resident === 0n) {
      void this.#residency.remove(key)
      void this.#sums.remove(key)
    } else {
      void this.#residency.put(key, layout.encodeRecord({ resident, zero: record.zero & resident }))
    }
  }

  async #write(operation: () => Promise<unknown>): Promise<void> {
    if (this.#closing) throw new CacheError('closed', 'the index is closed')
    try {
      await operation()
    } catch (error) {
      throw new CacheError('index-failed', `${this.#directory}: the index cannot be written: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }
}

/**
 * Refuse a file that LMDB did not write: opening one would crash the process.
 * Source: liblmdb/mdb.c, the first page has a header of 24 bytes, then MDB_meta, which begins with MDB_MAGIC.
 */
function checkMagic(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return
  const head = Buffer.alloc(28)
  const fd = openSync(path, 'r')
  try {
    readSync(fd, head, 0, head.length, 0)
  } finally {
    closeSync(fd)
  }
  if (head.readUInt32LE(24) !== 0xbeefc0de)
    throw new Error(`${path} is not an LMDB file; remove it to start with an empty cache`)
}
