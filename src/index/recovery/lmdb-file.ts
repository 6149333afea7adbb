/**
 * The file of an LMDB database, read page by page without LMDB: its meta pages and its trees. See lmdb-check.ts for the sources.
 */
import { closeSync, fstatSync, readSync } from 'node:fs'
import { openPlain } from './plain-file.ts'

const headerBytes = 24
const magic = 0xbeefc0de
const version = 2
const metaFlag = 8
const chunkBytes = 4 * 1024 * 1024
const noPage = 2n ** 64n - 1n

/** A tree of pages. */
export interface Tree {
  readonly flags: number
  readonly depth: number
  readonly branches: number
  readonly leaves: number
  readonly overflows: number
  readonly entries: number
  /** Null: it is empty. */
  readonly root: number | null
}

/** What the newer of the two meta pages says. */
export interface Meta {
  readonly pageBytes: number
  readonly mapBytes: bigint
  readonly free: Tree
  readonly main: Tree
  readonly lastPage: number
  readonly transaction: bigint
}

/** That a file is not sound, and in what. */
export function unsound(what: string): RangeError {
  return new RangeError(what)
}

export class LmdbFile {
  readonly meta: Meta
  readonly #fd: number
  readonly #sizeBytes: number

  private constructor(fd: number) {
    this.#fd = fd
    this.#sizeBytes = fstatSync(fd).size
    const head = Buffer.alloc(2 * 4096)
    this.#read(head, 0)
    const first = this.#metaAt(head, 0)
    const page = Buffer.alloc(4096)
    this.#read(page, first.pageBytes)
    const second = this.#metaAt(page, 1)
    if (second.pageBytes !== first.pageBytes) throw unsound('two sizes of a page')
    const meta = first.transaction >= second.transaction ? first : second
    // Transaction n writes meta page n % 2, and the other page is of the one before.
    const [older, newer] = meta === first ? [second, first] : [first, second]
    if (newer.transaction - older.transaction > 1n) throw unsound('a meta page that was lost')
    if (newer.transaction > 1n && newer.transaction % 2n !== (meta === first ? 0n : 1n))
      throw unsound('a meta page in the wrong place')
    this.meta = meta
  }

  /** @throws RangeError when it has no head of an LMDB file; SystemError */
  static open(path: string): LmdbFile {
    const fd = openPlain(path)
    try {
      return new LmdbFile(fd)
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  get pageBytes(): number {
    return this.meta.pageBytes
  }

  /** Have the kernel read the file in order: trees are met in another one. */
  readAhead(): void {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    for (let at = 0; readSync(this.#fd, chunk, 0, chunkBytes, at) > 0; ) at += chunkBytes
  }

  /** Fill `target` from page `number` on. @throws RangeError past the end of the file */
  readPages(number: number, target: Buffer): void {
    this.#read(target, number * this.meta.pageBytes)
  }

  treeAt(bytes: Buffer, at: number): Tree {
    const count = (offset: number) => Number(bytes.readBigUInt64LE(at + offset))
    const root = bytes.readBigUInt64LE(at + 40)
    return {
      flags: bytes.readUInt16LE(at + 4),
      depth: bytes.readUInt16LE(at + 6),
      branches: count(8),
      leaves: count(16),
      overflows: count(24),
      entries: count(32),
      root: root === noPage ? null : Number(root),
    }
  }

  close(): void {
    closeSync(this.#fd)
  }

  #metaAt(page: Buffer, number: number): Meta {
    const at = headerBytes
    const [free, main] = [this.treeAt(page, at + 24), this.treeAt(page, at + 72)]
    const meta = {
      pageBytes: page.readUInt32LE(at + 24),
      mapBytes: page.readBigUInt64LE(at + 16),
      free,
      main,
      lastPage: Number(page.readBigUInt64LE(at + 120)),
      transaction: page.readBigUInt64LE(at + 128),
    }
    const isRight =
      page.readBigUInt64LE(0) === BigInt(number) &&
      page.readUInt16LE(18) === metaFlag &&
      page.readUInt32LE(at) === magic &&
      page.readUInt32LE(at + 4) === version &&
      page.readBigUInt64LE(at + 8) === 0n &&
      meta.free.flags === 8 &&
      meta.main.flags === 0 &&
      [4096, 8192, 16_384, 32_768].includes(meta.pageBytes) &&
      meta.lastPage >= 1 &&
      // The free pages at the end need not be in the file.
      meta.lastPage < 2 ** 32 &&
      meta.mapBytes >= BigInt(meta.lastPage + 1) * BigInt(meta.pageBytes) &&
      meta.mapBytes <= 2n ** 46n
    if (!isRight) throw unsound(`meta page ${number}`)
    return meta
  }

  #read(target: Buffer, at: number): void {
    if (at + target.length > this.#sizeBytes) throw unsound('a page beyond the end of the file')
    const read = readSync(this.#fd, target, 0, target.length, at)
    if (read !== target.length) throw unsound('a page that cannot be read whole')
  }
}
