/**
 * The mark of a clean stop: a checksum of the whole database file, written after the database was closed and taken away
 * before it is opened again.
 *
 * LMDB follows the pointers that it finds in its pages, so a bit that flips while the daemon is away could crash it, or worse.
 * After a clean stop such a file is recognised and refused. After a crash there is no mark: then the seals of the values
 * keep wrong bytes out, see seal.ts.
 */
import { closeSync, fstatSync, fsyncSync, lstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { CacheError, messageOf } from '../errors.ts'
import { openPlain } from './plain-file.ts'

const markName = 'CLEAN'
const chunkBytes = 4 * 1024 * 1024
/** Two numbers. */
const markBytesMax = 64
/** Source: liblmdb/mdb.c: a page header of 24 bytes, then MDB_meta, which begins with MDB_MAGIC. */
const magicOffset = 24
const magic = 0xbeefc0de

/**
 * Check the database file at `path` before it is opened, and take the mark away.
 * @returns whether it is as the last stop left it; false after a crash
 * @throws CacheError index-failed when it is not what the last stop left, or was not written by LMDB at all
 */
export function checkMark(path: string): boolean {
  const markPath = join(dirname(path), markName)
  let isClean = true
  if (lstatSync(path, { throwIfNoEntry: false })) {
    const expected = readMark(markPath)
    isClean = expected !== null
    const advice = `remove ${dirname(path)} to start with an empty cache`
    const { head, sizeBytes, checksum } = readWhole(path, isClean, advice)
    if (head.length < magicOffset + 4 || head.readUInt32LE(magicOffset) !== magic) {
      throw new CacheError('index-failed', `${path} is not an LMDB file: ${advice}`)
    }
    if (expected !== null && expected !== `${sizeBytes} ${checksum}`) {
      throw new CacheError(
        'index-failed',
        `${path} was changed while no daemon used it, and cannot be trusted: ${advice}`,
      )
    }
  }
  rmSync(markPath, { recursive: true, force: true })
  syncDirectory(dirname(path))
  return isClean
}

/** Mark the closed database file at `path`. */
export function leaveMark(path: string): void {
  const { sizeBytes, checksum } = readWhole(path, true, 'the next start looks at it')
  const markPath = join(dirname(path), markName)
  rmSync(markPath, { recursive: true, force: true })
  const fd = openSync(markPath, 'wx', 0o600)
  try {
    writeSync(fd, `${sizeBytes} ${checksum}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function readMark(markPath: string): string | null {
  try {
    const fd = openPlain(markPath)
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
function readWhole(path: string, all: boolean, advice: string): { head: Buffer; sizeBytes: number; checksum: number } {
  const chunk = Buffer.allocUnsafe(chunkBytes)
  const fd = openDatabase(path, advice)
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
function openDatabase(path: string, advice: string): number {
  try {
    return openPlain(path)
  } catch (cause) {
    throw new CacheError('index-failed', `${path} cannot be used: ${messageOf(cause)}: ${advice}`, { cause })
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
