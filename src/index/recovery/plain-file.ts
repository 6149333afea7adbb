/**
 * Opens a plain file of the index: never waits for a pipe, follows a link, or takes a file with another name elsewhere.
 */
import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs'

/** A file of which less than this share is allocated is sparse: 1/64. Compression does not come so far. */
const sparseFactor = 64

/** @returns a descriptor to read from. @throws SystemError; Error when it is not a plain file */
export function openPlain(path: string): number {
  // Without O_NONBLOCK a pipe would hold us until it gets a writer.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const stat = fstatSync(fd)
  if (stat.isFile() && stat.nlink <= 1) return fd
  closeSync(fd)
  throw new Error(`it is ${stat.isFile() ? 'a file with several names' : 'not a file'}`)
}

/** Is nearly all of the file a hole? */
export function isSparse({ size, blocks }: Pick<Stats, 'size' | 'blocks'>): boolean {
  return size > sparseFactor * Math.max(blocks, 8) * 512
}
