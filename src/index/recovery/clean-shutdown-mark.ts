/**
 * Mark of the last shutdown: a checksum of the whole database file, written after the database was closed and removed
 * before it is opened again.
 *
 * LMDB follows the pointers that it finds in its pages, so a bit that flips while the daemon is away could crash it, or
 * worse. After a clean shutdown such a file is recognised and refused. After a crash there is no mark: then the
 * checksums of the values keep wrong bytes out, see value-checksum.ts. A file in which LMDB met an error is marked as
 * damaged, and copied by the next start: see salvage.ts.
 */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { HeldDirectory } from '../../base/held-directory.ts'
import { isSparse, openPlain } from './plain-file.ts'

/** Of LMDB. */
const databaseName = 'data.mdb'
const markName = 'CLEAN'
const chunkBytes = 4 * 1024 * 1024
/** Two numbers. */
const markBytesMax = 64
/** In the place of the numbers. */
const damagedText = 'damaged'
/** Source: liblmdb/mdb.c: a page header of 24 bytes, then MDB_meta, which begins with MDB_MAGIC. */
const magicOffset = 24
const magic = 0xbeefc0de

/** `clean`: as the last stop left it, or new. `crashed`: not closed. `damaged`: LMDB could not follow its pages. */
export type LastStop = 'clean' | 'crashed' | 'damaged'

/**
 * Check the database file in `directory` before it is opened, and take the mark away.
 * @throws CacheError index-failed when it is not what the last stop left, or was not written by LMDB at all
 */
export function checkMark(directory: HeldDirectory): LastStop {
  let lastStop: LastStop = 'clean'
  if (directory.look(databaseName)) {
    const expected = readMark(directory)
    lastStop = expected === null ? 'crashed' : expected === damagedText ? 'damaged' : 'clean'
    const isClean = lastStop === 'clean'
    const advice = `remove ${directory.path} to start with an empty cache`
    const { head, sizeBytes, checksum } = readWhole(directory, isClean, advice)
    const path = nameOf(directory)
    if (head.length < magicOffset + 4 || head.readUInt32LE(magicOffset) !== magic) {
      throw new CacheError('index-failed', `${path} is not an LMDB file: ${advice}`)
    }
    if (isClean && expected !== `${sizeBytes} ${checksum}`) {
      throw new CacheError(
        'index-failed',
        `${path} was changed while no daemon used it, and cannot be trusted: ${advice}`,
      )
    }
  }
  directory.remove(markName)
  directory.sync()
  return lastStop
}

/** Mark the closed database file in `directory`. @param isDamaged LMDB could not follow its pages */
export function leaveMark(directory: HeldDirectory, isDamaged: boolean): void {
  directory.remove(markName)
  const text = isDamaged || hasHoles(directory) ? damagedText : checksumText(directory)
  const fd = openSync(directory.at(markName), 'wx', 0o600)
  try {
    writeSync(fd, `${text}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * LMDB fills its file from the front. In a sparse one the number of the last page was damaged, and reading it takes for
 * ever.
 */
function hasHoles(directory: HeldDirectory): boolean {
  const stat = directory.look(databaseName)
  return stat !== null && isSparse(stat)
}

function checksumText(directory: HeldDirectory): string {
  const { sizeBytes, checksum } = readWhole(directory, true, 'the next start looks at it')
  return `${sizeBytes} ${checksum}`
}

function readMark(directory: HeldDirectory): string | null {
  try {
    const fd = openPlain(directory.at(markName))
    try {
      const bytes = Buffer.alloc(markBytesMax)
      return bytes.toString('latin1', 0, readSync(fd, bytes)).trim()
    } finally {
      closeSync(fd)
    }
  } catch {
    return null
  }
}

/**
 * @param all false: the head is enough
 * @throws CacheError index-failed when it is not a plain file
 */
function readWhole(directory: HeldDirectory, all: boolean, advice: string) {
  const chunk = Buffer.allocUnsafe(chunkBytes)
  const fd = openDatabase(directory, advice)
  try {
    const sizeBytes = fstatSync(fd).size
    let length = readSync(fd, chunk, 0, chunkBytes, 0)
    const head = Buffer.from(chunk.subarray(0, Math.min(length, 4096)))
    let checksum = 0
    for (let at = 0; all && length > 0; ) {
      checksum = crc32(chunk.subarray(0, length), checksum)
      at += length
      length = readSync(fd, chunk, 0, chunkBytes, at)
    }
    return { head, sizeBytes, checksum }
  } finally {
    closeSync(fd)
  }
}

/** @throws CacheError index-failed */
function openDatabase(directory: HeldDirectory, advice: string): number {
  try {
    return openPlain(directory.at(databaseName))
  } catch (cause) {
    throw new CacheError('index-failed', `${nameOf(directory)} cannot be used: ${messageOf(cause)}: ${advice}`, {
      cause,
    })
  }
}

function nameOf({ path }: HeldDirectory): string {
  return `${path}/${databaseName}`
}
