/**
 * Kept seals: the records of sealed images in the index, and their hash trees on the cache's disk.
 *
 * Trees count in the used capacity, have a share of it, and stay as long as their images are known: eviction takes data
 * alone. What cannot be kept is fetched again.
 */

import { messageOf } from '../../base/errors.ts'
import { allBlocks, type Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { StoreFile } from '../../native/addon.ts'
import { noTree, type SealKeeper, type SealRecord } from '../../origin/sealed/seal.ts'
import type { KeptTree } from '../../origin/sealed/tree-runs.ts'
import type { DiskHealth } from '../disk/disk-health.ts'
import { openTreesMax, sealRecordBytes, treePageBytes, treesShareMax } from './limits.ts'
import type { TreeDirectory } from './tree-directory.ts'

/** The part of the store that is asked. */
export interface SealStore {
  readonly capacity: {
    readonly capacityBytes: number
    reserve(bytes: number): boolean
    settle(reservedBytes: number, landedBytes: number): void
    settleWhenMeasured(reservedBytes: number): void
  }
  readonly health: Pick<DiskHealth, 'mayWait' | 'mayWrite' | 'watchRead' | 'watchWrite' | 'writeFailed'>
  recordWithin(bytes: number, isNeeded: boolean, write: () => Promise<void>): Promise<boolean>
}

export interface KeptSealsContext {
  readonly index: IndexDatabase
  readonly directory: TreeDirectory
  readonly logger: Logger
}

/** For status and metrics. */
export interface KeptSealsCounters {
  readonly treeBytes: number
  /** Writes of trees that had no room. */
  readonly refused: number
}

export class KeptSeals implements SealKeeper {
  readonly #parts: KeptSealsContext
  #store: SealStore | null = null
  readonly #files = new LruMap<string, Promise<StoreFile | null>>(openTreesMax, { onLeave: file => void closed(file) })
  /** Bytes on disk, by image. */
  readonly #bytes = new Map<string, number>()
  #treeBytes = 0
  #refused = 0

  private constructor(parts: KeptSealsContext) {
    this.#parts = parts
  }

  get counters(): KeptSealsCounters {
    return { treeBytes: this.#treeBytes, refused: this.#refused }
  }

  /** The bytes that all trees take on disk. */
  get allocatedBytes(): number {
    return this.#treeBytes
  }

  /** Take over what lies there: trees of images that are not known go. @throws SystemError */
  static async load(parts: KeptSealsContext): Promise<KeptSeals> {
    const seals = new KeptSeals(parts)
    await seals.#load()
    return seals
  }

  async #load(): Promise<void> {
    const { directory, index } = this.#parts
    const known = new Set(index.images().map(({ image }) => image.id))
    for (const name of await directory.names()) {
      if (known.has(name)) this.#account(name, directory.allocatedBytes(name))
      else await directory.remove(name)
    }
  }

  /** From now on trees are read and written. */
  use(store: SealStore): void {
    this.#store = store
  }

  record(imageId: string): SealRecord | null {
    return this.#parts.index.seal(imageId) as SealRecord | null
  }

  async putRecord(image: Image, record: SealRecord): Promise<void> {
    const write = () => this.#parts.index.putSeal(image.id, record)
    await this.#store?.recordWithin(sealRecordBytes, true, write).catch(error => {
      this.#parts.logger.warn(
        { image: image.key, reason: messageOf(error) },
        'the seal of an image could not be recorded',
      )
    })
  }

  tree(imageId: string, bytes: number): KeptTree {
    if (bytes === 0) return noTree
    return {
      read: (offset, target) => this.#read(imageId, bytes, offset, target),
      write: (offset, source) => this.#write(imageId, bytes, offset, source),
    }
  }

  /** The image is not known any more. Never rejects. */
  async remove(imageId: string): Promise<void> {
    const file = this.#files.get(imageId)
    this.#files.delete(imageId)
    if (file) await closed(file)
    this.#account(imageId, 0)
    await this.#parts.directory.remove(imageId).catch(() => {}) // The next start removes it.
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#store = null
    const files = [...this.#files.values()]
    for (const imageId of [...this.#files.keys()]) this.#files.delete(imageId)
    for (const file of files) await closed(file)
  }

  async #read(imageId: string, bytes: number, offset: number, target: Uint8Array): Promise<boolean> {
    const store = this.#store
    // A file that does not exist is not made for a read.
    if (!store?.health.mayWait || !this.#bytes.has(imageId) || target.length === 0) return false
    const work = async () => (await (await this.#open(imageId, bytes))?.read(offset, target)) ?? false
    return await store.health.watchRead(work(), false).catch(() => false)
  }

  async #write(imageId: string, bytes: number, offset: number, source: Uint8Array): Promise<void> {
    const store = this.#store
    if (!store?.health.mayWrite) return
    const { capacity, health } = store
    const reservedBytes = source.length + treePageBytes
    const fits = this.#treeBytes + source.length <= capacity.capacityBytes * treesShareMax
    if (!fits || !capacity.reserve(reservedBytes)) {
      this.#refused++
      return
    }
    try {
      const file = await this.#open(imageId, bytes)
      const written = await (file && health.watchWrite(writeAll(file, offset, source)))
      if (written?.error) throw written.error
      if (file) this.#account(imageId, file.usage().allocatedBytes)
    } catch (error) {
      health.writeFailed(error)
    } finally {
      capacity.settleWhenMeasured(reservedBytes)
    }
  }

  #open(imageId: string, bytes: number): Promise<StoreFile | null> {
    const known = this.#files.use(imageId)
    if (known) return known
    const opening = this.#parts.directory.open(imageId, bytes).then(
      file => {
        // All of it may be read: what was never written fits no digest.
        const words = new BigUint64Array(file.table)
        for (let object = 0; object < words.length; object += 2) Atomics.store(words, object, allBlocks)
        return file
      },
      error => {
        this.#files.delete(imageId)
        this.#store?.health.writeFailed(error)
        return null
      },
    )
    this.#files.set(imageId, opening)
    return opening
  }

  #account(imageId: string, bytes: number): void {
    this.#treeBytes += bytes - (this.#bytes.get(imageId) ?? 0)
    if (bytes === 0) this.#bytes.delete(imageId)
    else this.#bytes.set(imageId, bytes)
  }
}

/** Whole pages; at most 64 of them are written at once. */
async function writeAll(file: StoreFile, offset: number, bytes: Uint8Array): Promise<{ readonly error: Error | null }> {
  const offsets: number[] = []
  const parts: Uint8Array[] = []
  const partBytes = 64 * treePageBytes
  for (let at = 0; at < bytes.length; at += partBytes) {
    offsets.push(offset + at)
    parts.push(bytes.subarray(at, at + partBytes))
  }
  return await file.writeBlocks(offsets, parts)
}

async function closed(file: Promise<StoreFile | null>): Promise<void> {
  ;(await file)?.close()
}
