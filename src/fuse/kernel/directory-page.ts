/**
 * Pages of directory entries, with and without attributes.
 *
 * An entry goes into a page whole or not at all. Attributes are given only for images that are known without asking:
 * for the others the kernel takes the name, and asks when it wants more.
 */

import type { Attributes } from '../filesystem/attributes.ts'
import type { KnownImage } from '../filesystem/backend.ts'
import type { DirectoryEntries, DirectoryEntry } from '../filesystem/open-directories.ts'
import { cookieOf, hashWith, partsOf } from './directory-cookie.ts'
import { directoryPageBytesMax } from './limits.ts'
import { entryBytes, writeEntry } from './replies.ts'
import { ReplyWriter } from './reply-writer.ts'

/** Bytes of struct fuse_dirent without the name. */
const headBytes = 24

/** File types of readdir. Source: POSIX dirent.h, DT_DIR and DT_REG. */
const types = { directory: 4, file: 8 } as const

/** The inode number of what we do not know yet: not 0, which libc takes for a deleted name. */
const unknownInode = 0xffffffffn

/**
 * The entries from `cookie` on that fit into `bytesMax`, or into one answer: struct fuse_dirent. Empty at the end of
 * the listing.
 */
export function directoryPage(entries: DirectoryEntries, cookie: bigint, bytesMax: number): Uint8Array {
  const page = new Page(bytesMax, cookie)
  for (let at = page.index; at < entries.length; at++) {
    const entry = entries.at(at)
    if (!entry) continue
    if (!page.fits(entry, 0)) break
    page.add(entry, at)
  }
  return page.bytes
}

export interface PageWithAttributes {
  readonly bytes: Uint8Array
  /** The images that the kernel will have been told of: each counts as a lookup. */
  readonly told: readonly KnownImage[]
}

/**
 * The same with struct fuse_direntplus.
 * @param remember counts a lookup of an image and returns its attributes; null when it is not known any more
 */
export function directoryPageWithAttributes(
  entries: DirectoryEntries,
  cookie: bigint,
  bytesMax: number,
  remember: (known: KnownImage) => Attributes | null,
): PageWithAttributes {
  const page = new Page(bytesMax, cookie)
  const told: KnownImage[] = []
  for (let at = page.index; at < entries.length; at++) {
    const entry = entries.at(at)
    if (!entry) continue
    if (!page.fits(entry, entryBytes)) break
    const attributes = entry.known && remember(entry.known)
    if (entry.known && attributes) {
      page.addAttributes(attributes)
      told.push(entry.known)
    } else {
      // Node id 0: the kernel takes the name and links no node. Source: Linux fs/fuse/readdir.c, fuse_direntplus_link.
      page.skip(entryBytes)
    }
    page.add(entry, at)
  }
  return { bytes: page.bytes, told }
}

/** A page that is being filled. */
class Page {
  readonly #bytesMax: number
  readonly #writer: ReplyWriter
  /** The name of the entry that `fits` looked at last, encoded. */
  #name: Uint8Array = new Uint8Array(0)
  #used = 0
  /** Of all names before the next entry. */
  #hash: number
  /** Its index in the listing. */
  readonly index: number

  constructor(bytesMax: number, cookie: bigint) {
    const { index, hash } = partsOf(cookie)
    this.index = index
    this.#hash = hash
    this.#bytesMax = Math.min(bytesMax, directoryPageBytesMax)
    this.#writer = new ReplyWriter(new Uint8Array(this.#bytesMax))
  }

  get bytes(): Uint8Array {
    return this.#writer.bytes.subarray(0, this.#used)
  }

  /** Is there room for the entry, after `before` bytes of attributes? */
  fits(entry: DirectoryEntry, before: number): boolean {
    this.#name = Buffer.from(entry.name)
    return this.#used + before + paddedTo8(headBytes + this.#name.length) <= this.#bytesMax
  }

  skip(bytes: number): void {
    this.#writer.skip(bytes)
    this.#used += bytes
  }

  addAttributes(attributes: Attributes): void {
    writeEntry(this.#writer, attributes)
    this.#used += entryBytes
  }

  /** The entry that `fits` looked at last, and the cookie of the one after it. */
  add({ nodeId, kind, name }: DirectoryEntry, index: number): void {
    this.#hash = hashWith(this.#hash, name)
    const bytes = paddedTo8(headBytes + this.#name.length)
    this.#writer
      .u64(nodeId ?? unknownInode)
      .u64(cookieOf({ index: index + 1, hash: this.#hash }))
      .u32(this.#name.length)
      .u32(types[kind])
    this.#writer.raw(this.#name).skip(bytes - headBytes - this.#name.length)
    this.#used += bytes
  }
}

function paddedTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8
}
