/**
 * The file system below the store, as far as the store needs one: the directory of data files, and the bytes of
 * everything in the cache directory. Passed in, so that tests can put a disk below that loses power.
 */
import { randomBytes } from 'node:crypto'
import { lstatSync, readdirSync, statfsSync } from 'node:fs'
import { open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { HeldDirectory } from '../../base/held-directory.ts'
import type { Engine, StoreFile } from '../../native/addon.ts'
import type { CacheDirectory } from './cache-directory.ts'
import type { DiskUsage } from './capacity.ts'

export interface DataDirectory {
  /** Names of all data files. */
  names(): Promise<string[]>
  /** Length of a data file in bytes, null when there is none, or something else in its place. */
  sizeOf(name: string): number | null
  /** Open or create, in the place of what is no data file. @throws SystemError */
  open(name: string, sizeBytes: number, blockBytes: number): Promise<StoreFile>
  remove(name: string): Promise<void>
  /**
   * The time for which the oldest read of a data file has kept the disk busy until now, in milliseconds; 0 when there
   * is none.
   */
  readingMs(): number
  /** Make created and removed names durable. */
  sync(): Promise<void>
  /** Write, sync, read back and remove something small. @throws SystemError */
  probe(): Promise<void>
  /**
   * The bytes of the cache directory, `files` being all open data files and `indexBytes` the bytes of the index.
   * Synchronous, so that the disk and the store's own account are read at one moment; the calls are answered from
   * memory.
   */
  measure(files: Iterable<StoreFile>, indexBytes: number): DiskUsage
}

/** Of the file by which the disk is probed, in the cache directory. */
export const probeName = 'PROBE'
const probeBytes = 4096
/** Files that the index counts itself. */
const indexNames = ['data.mdb', 'lock.mdb']

/** The data files below a real cache directory. */
export class RealDataDirectory implements DataDirectory {
  readonly #directory: CacheDirectory
  readonly #engine: Engine
  /** Bytes of all other files here at the start: they count. */
  readonly #strayBytes: number

  constructor(directory: CacheDirectory, engine: Engine) {
    this.#directory = directory
    this.#engine = engine
    const { top, index } = directory
    // Of a daemon that was killed while it probed.
    top.remove(probeName)
    this.#strayBytes =
      bytesBeside(top.place, ['VERSION', 'images', 'index', 'trees']) + bytesBeside(index.place, indexNames)
  }

  names(): Promise<string[]> {
    return readdir(this.#directory.images.place)
  }

  sizeOf(name: string): number | null {
    const stat = this.#directory.images.look(name)
    return stat?.isFile() && stat.nlink === 1 ? stat.size : null
  }

  open(name: string, sizeBytes: number, blockBytes: number): Promise<StoreFile> {
    return this.#open(this.#directory.images, name, sizeBytes, blockBytes)
  }

  remove(name: string): Promise<void> {
    return remove(this.#directory.images, name)
  }

  readingMs(): number {
    return this.#engine.readingMs()
  }

  async sync(): Promise<void> {
    const handle = await open(this.#directory.images.place, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  async probe(): Promise<void> {
    const { top } = this.#directory
    const file = await this.#open(top, probeName, probeBytes, probeBytes)
    try {
      const sent = randomBytes(probeBytes)
      const landed = await file.writeBlocks([0], [sent])
      if (landed.error) throw landed.error
      const sums = new Uint32Array(64)
      sums.set(landed.sums)
      await file.sync()
      const { good } = await file.verify(0, 1n, sums, true)
      if (good !== 1n) throw new Error(`${join(top.path, probeName)}: what was written does not come back`)
    } finally {
      file.close()
      await remove(top, probeName)
    }
  }

  measure(files: Iterable<StoreFile>, indexBytes: number): DiskUsage {
    const { top, index, images, trees } = this.#directory
    let allocatedBytes = indexBytes + this.#strayBytes
    for (const file of files) allocatedBytes += file.usage().allocatedBytes
    for (const facts of [top.stat, index.stat, images.stat, trees.stat, top.look('VERSION')]) {
      allocatedBytes += (facts?.blocks ?? 0) * 512
    }
    const { bavail, blocks, bsize } = statfsSync(top.place)
    return { allocatedBytes, freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  }

  /** A foreign entry in the place of a data file makes way for it. */
  async #open(directory: HeldDirectory, name: string, sizeBytes: number, blockBytes: number): Promise<StoreFile> {
    const stat = await directory.lookAside(name)
    if (stat && !(stat.isFile() && stat.nlink === 1 && stat.size <= sizeBytes)) await remove(directory, name)
    return this.#engine.openFile(directory.at(name), sizeBytes, blockBytes)
  }
}

/** Remove what has that name, whatever it is: a data file, without keeping the event loop on a disk that hangs. */
async function remove(directory: HeldDirectory, name: string): Promise<void> {
  try {
    await unlink(directory.at(name))
  } catch (error) {
    // EISDIR and whatever else a file system says of a directory; what failed otherwise fails once more.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') directory.remove(name)
  }
}

/** Bytes of everything in a directory but `names`, as du(1) counts them. */
function bytesBeside(directory: string, names: readonly string[]): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (names.includes(entry.name)) continue
    const path = join(directory, entry.name)
    bytes += (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512
    if (entry.isDirectory()) bytes += bytesBeside(path, [])
  }
  return bytes
}
