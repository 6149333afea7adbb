/**
 * The mark of a clean stop: a checksum of the whole database file, written after the database was closed and taken away
 * before it is opened again.
 *
 * LMDB follows the pointers that it finds in its pages, so a bit that flips while the daemon is away could crash it, or worse.
 * After a clean stop such a file is recognised and refused. After a crash there is no mark: then the seals of the values
 * keep wrong bytes out, see seal.ts.
 */
import { closeSync, fsyncSync, openSync, readFileSync, readSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { CacheError } from '../errors.ts'

const markName = 'CLEAN'
const chunkBytes = 4 * 1024 * 1024
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
  const stat = statSync(path, { throwIfNoEntry: false })
  let isClean = true
  if (stat) {
    const expected = readMark(markPath)
    const { head, checksum } = readWhole(path, expected !== null)
    isClean = expected !== null
    const advice = `remove ${dirname(path)} to start with an empty cache`
    if (head.length < magicOffset + 4 || head.readUInt32LE(magicOffset) !== magic) {
      throw new CacheError('index-failed', `${path} is not an LMDB file: ${advice}`)
    }
    if (expected !== null && expected !== `${stat.size} ${checksum}`) {
      throw new CacheError(
        'index-failed',
        `${path} was changed while no daemon used it, and cannot be trusted: ${advice}`,
      )
    }
  }
  rmSync(markPath, { force: true })
  syncDirectory(dirname(path))
  return isClean
}

/** Mark the closed database file at `path`. */
export function leaveMark(path: string): void {
  const { checksum } = readWhole(path, true)
  const fd = openSync(join(dirname(path), markName), 'w', 0o600)
  try {
    writeSync(fd, `${statSync(path).size} ${checksum}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function readMark(markPath: string): string | null {
  try {
    return readFileSync(markPath, 'utf8').trim()
  } catch {
    return null
  }
}

/** @param all false: the head is enough */
function readWhole(path: string, all: boolean): { head: Buffer; checksum: number } {
  const chunk = Buffer.allocUnsafe(chunkBytes)
  const fd = openSync(path, 'r')
  try {
    let length = readSync(fd, chunk, 0, chunkBytes, 0)
    const head = Buffer.from(chunk.subarray(0, Math.min(length, 4096)))
    let checksum = 0
    for (let at = 0; all && length > 0; ) {
      checksum = crc32(chunk.subarray(0, length), checksum)
      at += length
      length = readSync(fd, chunk, 0, chunkBytes, at)
    }
    return { head, checksum }
  } finally {
    closeSync(fd)
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
