/**
 * Open directories: each keeps the listing that it began with until it is read from the start again, so that a reader
 * sees every name once whatever happens at the origin meanwhile.
 *
 * The reader may come back to any place of it. A handle of a predecessor is taken as one that has not been read yet:
 * the listing is taken anew, and the reader goes on in it if it begins with the names read so far.
 */

import type { KnownImage } from './backend.ts'
import { FsError } from './fs-error.ts'
import { openDirectoriesMax, openDirectoryNamesMax } from './limits.ts'

export interface DirectoryEntry {
  readonly name: string
  readonly kind: 'directory' | 'file'
  /** Null where it is not known without asking the origin. */
  readonly nodeId: bigint | null
  readonly known: KnownImage | null
}

/** A listing: an array, or something that makes its entries when they are read. */
export interface DirectoryEntries {
  readonly length: number
  /**
   * The object that holds the names in memory: listings that share it are counted once. Each has its own where it is
   * absent.
   */
  readonly names?: object
  /** Null for what is not shown; undefined from `length` on. */
  at(index: number): DirectoryEntry | null | undefined
}

/** The listing of an open directory; empty until it is first read. */
interface OpenDirectory {
  entries: DirectoryEntries | null
}

/** The place where a reader goes on. */
export interface DirectoryPlace {
  /** Into the listing. */
  readonly index: number
  /** Does the listing begin with what the reader has seen? Asked of one that he has not begun with. */
  follows(entries: DirectoryEntries): boolean
}

export const startOfDirectory: DirectoryPlace = { index: 0, follows: () => true }

export interface OpenDirectoriesOptions {
  /** The first handle. Random, so that no predecessor gave out the same. */
  readonly firstHandle: bigint
  readonly directoriesMax?: number
  readonly namesMax?: number
}

export class OpenDirectories {
  readonly #open = new Map<bigint, OpenDirectory>()
  readonly #directoriesMax: number
  readonly #namesMax: number
  #nextHandle: bigint
  /** Held names, and the number of directories that hold them. */
  readonly #held = new Map<object, { readonly length: number; directories: number }>()
  // INVARIANT: #names is the sum of the lengths in #held, and <= #namesMax.
  #names = 0
  #refused = 0

  constructor(options: OpenDirectoriesOptions) {
    this.#nextHandle = options.firstHandle
    this.#directoriesMax = options.directoriesMax ?? openDirectoriesMax
    this.#namesMax = options.namesMax ?? openDirectoryNamesMax
  }

  get count(): number {
    return this.#open.size
  }

  /** Opens and listings that were refused at a limit. */
  get refused(): number {
    return this.#refused
  }

  /** @throws Refusal too-many-open */
  open(): bigint {
    const handle = BigInt.asUintN(64, this.#nextHandle++)
    this.#add(handle)
    return handle
  }

  /**
   * The whole listing, from which the reader takes what follows. At its start it is taken anew.
   * @throws Refusal too-many-open, listing-changed; whatever `list` throws
   */
  async read(handle: bigint, place: DirectoryPlace, list: () => Promise<DirectoryEntries>): Promise<DirectoryEntries> {
    const directory = this.#open.get(handle) ?? this.#add(handle)
    if (directory.entries && place.index > 0) return directory.entries
    const entries = await list()
    if (!place.follows(entries)) throw new FsError('listing-changed')
    // Closed meanwhile: the names would not be given back.
    if (this.#open.get(handle) === directory) this.#keep(directory, entries)
    return entries
  }

  release(handle: bigint): void {
    const directory = this.#open.get(handle)
    if (!directory) return
    this.#open.delete(handle)
    if (directory.entries) this.#letGo(directory.entries)
  }

  #add(handle: bigint): OpenDirectory {
    if (this.#open.size >= this.#directoriesMax) {
      this.#refused++
      throw new FsError('too-many-open', `${this.#open.size} directories are open`)
    }
    const directory: OpenDirectory = { entries: null }
    this.#open.set(handle, directory)
    return directory
  }

  #keep(directory: OpenDirectory, entries: DirectoryEntries): void {
    const before = directory.entries
    directory.entries = null
    if (before) this.#letGo(before)
    const names = namesOf(entries)
    const held = this.#held.get(names) ?? { length: entries.length, directories: 0 }
    if (held.directories === 0 && this.#names + held.length > this.#namesMax) {
      this.#refused++
      throw new FsError('too-many-open', `open directories hold ${this.#names} names; ${held.length} more are too many`)
    }
    if (held.directories++ === 0) {
      this.#held.set(names, held)
      this.#names += held.length
    }
    directory.entries = entries
  }

  #letGo(entries: DirectoryEntries): void {
    const names = namesOf(entries)
    const held = this.#held.get(names)!
    if (--held.directories > 0) return
    this.#held.delete(names)
    this.#names -= held.length
  }
}

function namesOf(entries: DirectoryEntries): object {
  return entries.names ?? entries
}
