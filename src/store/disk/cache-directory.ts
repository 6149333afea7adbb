/**
 * The cache directory: made, recognised and locked before anything else touches it.
 *
 * It is ours when its VERSION file says so. A directory with any other content is refused, never cleaned. The lock is a
 * flock on VERSION and ends with the process.
 *
 * A user who could replace it, or a directory above it, could have us serve anything, and remove what that user cannot.
 * Such a place is refused (trusted-path.ts), and so are files of other owners in it. Everything that is opened or
 * removed from then on lies below held descriptors (held-directory.ts).
 */
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { CacheError, messageOf } from '../../base/errors.ts'
import { HeldDirectory } from '../../base/held-directory.ts'
import { makeDirectories } from '../../base/make-directories.ts'
import { mustBeTrusted } from '../../base/trusted-path.ts'
import { layoutVersion } from '../../index/format/value-checksum.ts'
import type { Addon, SystemError } from '../../native/addon.ts'
import { freeShareMin } from './limits.ts'

/** A cache directory, and what lies in it: held until it is unlocked. */
export interface CacheDirectory {
  readonly top: HeldDirectory
  readonly index: HeldDirectory
  readonly images: HeldDirectory
  readonly trees: HeldDirectory
  /** Give up the lock, and the directories, once they are in no use any more. Idempotent. */
  unlock(): void
}

/** More than VERSION ever is. */
const versionBytesMax = 256
const another = 'name another directory, or remove this one'
/** Entries that an empty directory may have: mkfs makes them. */
const harmlessEntries = new Set(['lost+found'])

/**
 * Open or create `place` as a cache with blocks of `blockBytes`, and lock it.
 * @param uid our user
 * @throws CacheError cache-foreign, cache-layout, cache-locked, store-failed
 */
export function openCacheDirectory(
  place: string,
  blockBytes: number,
  addon: Pick<Addon, 'lockFile' | 'closeFd'>,
  uid = process.geteuid?.() ?? 0,
): CacheDirectory {
  const held: HeldDirectory[] = []
  let lock: number | null = null
  const unlock = () => {
    if (lock !== null) addon.closeFd(lock)
    lock = null
    for (const directory of held) directory.close()
  }
  try {
    const top = prepared(place, uid)
    held.push(top)
    recognised(top, blockBytes, uid)
    lock = lockOf(top, addon)
    checkVersion(readVersion(lock), top.path, blockBytes)
    const [images, index, trees] = ['images', 'index', 'trees'].map(name => {
      const directory = top.look(name)
      if (directory) mustBeOurs(join(top.path, name), directory, 'directory', uid)
      const opened = top.made(name)
      held.push(opened)
      mustHoldOurs(opened, uid)
      return opened
    })
    return { top, images: images!, index: index!, trees: trees!, unlock }
  } catch (error) {
    unlock()
    throw failed(place, error)
  }
}

/** Make the directory, if it is not there, and hold it. @throws CacheError cache-foreign; SystemError */
function prepared(place: string, uid: number): HeldDirectory {
  mustBeTrusted(place, 'cache-foreign', uid)
  makeDirectories(place, 0o700)
  // A place that was free may be another user's by now.
  mustBeTrusted(place, 'cache-foreign', uid)
  const path = realpathSync(place)
  if (!lstatSync(path).isDirectory()) throw new Error('it is not a directory')
  const top = HeldDirectory.open(path)
  try {
    mustBeOurs(path, top.stat, 'directory', uid)
    return top
  } catch (error) {
    top.close()
    throw error
  }
}

/** Is it empty, and gets its VERSION, or has one of ours? @throws CacheError cache-foreign; SystemError */
function recognised(top: HeldDirectory, blockBytes: number, uid: number): void {
  const entries = top.names().filter(entry => !harmlessEntries.has(entry))
  if (entries.length === 0) {
    writeFileSync(top.at('VERSION'), versionText(blockBytes), { mode: 0o600, flush: true, flag: 'wx' })
  } else if (!entries.includes('VERSION')) {
    const advice = 'name an empty directory, or one that parentfs made'
    throw new CacheError('cache-foreign', `${top.path}: not a parentfs cache, and not empty: ${advice}`)
  }
  mustBeOurs(join(top.path, 'VERSION'), top.look('VERSION')!, 'file', uid)
  mustHoldOurs(top, uid)
}

/** The owner of a file may have it open, and write to it. @throws CacheError cache-foreign */
function mustHoldOurs(directory: HeldDirectory, uid: number): void {
  for (const name of directory.names()) {
    const owner = directory.look(name)?.uid ?? uid
    if (owner === uid || harmlessEntries.has(name)) continue
    const what = `${join(directory.path, name)} belongs to user ${owner}, not to user ${uid}, whose daemon this is`
    throw new CacheError('cache-foreign', `${what}: remove it, or name another directory`)
  }
}

function failed(path: string, error: unknown): CacheError {
  if (error instanceof CacheError) return error
  const what = `${path}: the cache directory cannot be made or read: ${messageOf(error)}`
  return new CacheError('store-failed', what, { cause: error })
}

/** @throws CacheError cache-foreign */
function mustBeOurs(path: string, stat: Stats, kind: 'file' | 'directory', uid: number): void {
  const isKind = kind === 'file' ? stat.isFile() && stat.nlink === 1 : stat.isDirectory()
  if (!isKind) throw new CacheError('cache-foreign', `${path} is not a ${kind} of parentfs: ${another}`)
  if (stat.uid !== uid) {
    const why = `belongs to user ${stat.uid}, not to user ${uid}, whose daemon this is`
    throw new CacheError('cache-foreign', `${path} ${why}: ${another}`)
  }
  if ((stat.mode & 0o022) === 0) return
  const advice = `if nobody did, run "chmod go-w ${path}", else ${another}`
  throw new CacheError('cache-foreign', `${path} can be written by others than its owner: ${advice}`)
}

/** The text of VERSION, if it is as short as ours. */
function readVersion(fd: number): string {
  const bytes = Buffer.alloc(versionBytesMax)
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0))
}

/**
 * Would {@link openCacheDirectory} take what is there? Nothing is made, changed or locked.
 * @throws CacheError cache-foreign, cache-layout
 */
export function checkLayout(path: string, blockBytes: number): void {
  mustBeTrusted(path, 'cache-foreign')
  const versionPath = join(path, 'VERSION')
  if (!existsSync(versionPath)) return
  const fd = openSync(versionPath, 'r')
  try {
    checkVersion(readVersion(fd), path, blockBytes)
  } finally {
    closeSync(fd)
  }
}

/**
 * Bytes that may be written into a cache directory without open files, below its ceiling and the free share of its
 * disk.
 */
export function roomBytes({ top, index, images, trees }: CacheDirectory, capacityBytes: number): number {
  let takenBytes = 0
  for (const directory of [top, index, images, trees]) {
    takenBytes += directory.stat.blocks * 512
    for (const name of directory.names()) {
      const facts = directory.look(name)
      if (facts?.isFile()) takenBytes += facts.blocks * 512
    }
  }
  const { bavail, blocks, bsize } = statfsSync(top.place)
  return Math.floor(Math.max(0, Math.min(capacityBytes - takenBytes, bavail * bsize - freeShareMin * blocks * bsize)))
}

function versionText(blockBytes: number): string {
  return `parentfs cache\nlayout ${layoutVersion}\nblock-bytes ${blockBytes}\n`
}

function lockOf(top: HeldDirectory, addon: Pick<Addon, 'lockFile'>): number {
  const { path } = top
  try {
    return addon.lockFile(top.at('VERSION'))
  } catch (error) {
    const locked = ['EWOULDBLOCK', 'EAGAIN'].includes((error as SystemError).code)
    if (!locked)
      throw new CacheError('store-failed', `${path}/VERSION: cannot be locked: ${messageOf(error)}`, { cause: error })
    const advice = 'unmount that one, or name another directory with --cache-dir'
    throw new CacheError('cache-locked', `${path}: another parentfs daemon uses this cache directory: ${advice}`, {
      cause: error,
    })
  }
}

function checkVersion(text: string, path: string, blockBytes: number): void {
  const match = /^parentfs cache\nlayout (\d+)\nblock-bytes (\d+)\n$/.exec(text)
  if (!match)
    throw new CacheError(
      'cache-foreign',
      `${path}/VERSION is not of parentfs: name an empty directory, or one that parentfs made`,
    )
  if (Number(match[1]) !== layoutVersion) {
    const advice = 'use the version that wrote it, or remove the directory to start with an empty cache'
    throw new CacheError('cache-layout', `${path}: layout ${match[1]}, and we read layout ${layoutVersion}: ${advice}`)
  }
  if (Number(match[2]) !== blockBytes) {
    const advice = `mount with --block-size ${match[2]}, or name another directory with --cache-dir`
    throw new CacheError('cache-layout', `${path}: made with blocks of ${match[2]} bytes, not ${blockBytes}: ${advice}`)
  }
}
