/**
 * Cookies of directory entries: the place where a reader goes on, and a hash of the names until there.
 *
 * The low 31 bits are an index into the listing, the 32 above them a hash of all names before it. A worker that took
 * over has no listing of the reader's. By the hash it can tell whether its own listing goes on where the reader was:
 * otherwise the reader would miss names or see some twice. The sign bit stays free: cookies are file offsets.
 */
import type { DirectoryEntries, DirectoryPlace } from '../filesystem/open-directories.ts'

const indexBits = 31n

/** Cookie 0 is the start of every listing: nothing has been seen. */
export interface CookieParts {
  readonly index: number
  readonly hash: number
}

export function cookieOf({ index, hash }: CookieParts): bigint {
  return (BigInt(hash) << indexBits) | BigInt(index)
}

export function partsOf(cookie: bigint): CookieParts {
  return { index: Number(BigInt.asUintN(31, cookie)), hash: Number(BigInt.asUintN(32, cookie >> indexBits)) }
}

/** The hash of all names before the entry after this one: FNV-1a, with what no name has between names. */
export function hashWith(hash: number, name: string): number {
  let next = hash
  for (let k = 0; k < name.length; k++) next = Math.imul(next ^ name.charCodeAt(k), 0x01000193)
  return Math.imul(next ^ 0x2f, 0x01000193) >>> 0
}

/** As the listing is asked for it. */
export function placeOfCookie(cookie: bigint): DirectoryPlace {
  const { index, hash } = partsOf(cookie)
  return { index, follows: entries => hashOfFirst(entries, index) === hash }
}

function hashOfFirst(entries: DirectoryEntries, count: number): number {
  let hash = 0
  for (let at = 0; at < count; at++) {
    const entry = entries.at(at)
    // Entries that are not shown have not been seen; past the end there are none, and the hash is that of another
    // listing.
    if (entry) hash = hashWith(hash, entry.name)
    else if (entry === undefined) break
  }
  return hash
}
