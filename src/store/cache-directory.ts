/**
 * The cache directory: made, recognised and locked before anything else touches it.
 *
 * It is ours when its VERSION file says so. A directory that holds anything else is refused, never cleaned. The lock is a
 * flock on VERSION and ends with the process.
 */
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  type Stats,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { CacheError, messageOf } from '../errors.ts'
import { layoutVersion } from '../index/seal.ts'
import { freeShareMin } from '../limits.ts'
import type { Addon, SystemError } from '../native/addon.ts'

/** Where things lie in a cache directory. */
export interface CacheDirectory {
  readonly path: string
  readonly indexPath: string
  readonly imagesPath: string
  /** Give up the lock. Idempotent. */
  unlock(): void
}

/** More than VERSION ever is. */
const versionBytesMax = 256
const another = 'name another directory, or remove this one'
/** What an empty directory may hold: mkfs makes it. */
const harmlessEntries = new Set(['lost+found'])

/**
 * Open or create `place` as a cache with blocks of `blockBytes`, and lock it. Whoever else could write to it could have us serve
 * anything: it has to be ours alone, and links that lead there ours or root's.
 * @param uid who we are
 * @throws CacheError cache-foreign, cache-layout, cache-locked, store-failed
 */
export function openCacheDirectory(
  place: string,
  blockBytes: number,
  addon: Pick<Addon, 'lockFile' | 'closeFd'>,
  uid = process.geteuid?.() ?? 0,
): CacheDirectory {
  const path = prepared(place, uid)
  const versionPath = join(path, 'VERSION')
  try {
    const entries = readdirSync(path).filter(entry => !harmlessEntries.has(entry))
    if (entries.length === 0) {
      writeFileSync(versionPath, versionText(blockBytes), { mode: 0o600, flush: true })
    } else if (!entries.includes('VERSION')) {
      const advice = 'name an empty directory, or one that parentfs made'
      throw new CacheError('cache-foreign', `${path}: not a parentfs cache, and not empty: ${advice}`)
    }
    mustBeOurs(versionPath, lstatSync(versionPath), 'file', uid)
  } catch (error) {
    throw failed(path, error)
  }
  const lock = lockOf(versionPath, path, addon)
  try {
    checkVersion(readVersion(lock), path, blockBytes)
    const [imagesPath, indexPath] = [join(path, 'images'), join(path, 'index')]
    for (const directory of [imagesPath, indexPath]) {
      if (!lstatSync(directory, { throwIfNoEntry: false })) mkdirSync(directory, { mode: 0o700 })
      mustBeOurs(directory, lstatSync(directory), 'directory', uid)
    }
    let locked = true
    const unlock = () => {
      if (locked) addon.closeFd(lock)
      locked = false
    }
    return { path, indexPath, imagesPath, unlock }
  } catch (error) {
    addon.closeFd(lock)
    throw failed(path, error)
  }
}

/** Make the directory, if it is not there. @returns its path without links @throws CacheError cache-foreign, store-failed */
function prepared(place: string, uid: number): string {
  try {
    const entry = lstatSync(place, { throwIfNoEntry: false })
    if (!entry) mkdirSync(place, { recursive: true, mode: 0o700 })
    if (entry?.isSymbolicLink() && entry.uid !== uid && entry.uid !== 0) {
      throw new CacheError(
        'cache-foreign',
        `${place} is a link of user ${entry.uid}, who could lead us elsewhere: ${another}`,
      )
    }
    const path = realpathSync(place)
    mustBeOurs(path, lstatSync(path), 'directory', uid)
    return path
  } catch (error) {
    throw failed(place, error)
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

/** What VERSION says, if it is as short as ours. */
function readVersion(fd: number): string {
  const bytes = Buffer.alloc(versionBytesMax)
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0))
}

/**
 * Would {@link openCacheDirectory} take what is there? Nothing is made, changed or locked.
 * @throws CacheError cache-foreign, cache-layout
 */
export function checkLayout(path: string, blockBytes: number): void {
  const versionPath = join(path, 'VERSION')
  if (!existsSync(versionPath)) return
  const fd = openSync(versionPath, 'r')
  try {
    checkVersion(readVersion(fd), path, blockBytes)
  } finally {
    closeSync(fd)
  }
}

/** Bytes that may be written into a cache directory in which nothing is open, below its ceiling and the free share of its disk. */
export function roomBytes({ path, indexPath, imagesPath }: CacheDirectory, capacityBytes: number): number {
  let takenBytes = 0
  for (const directory of [path, indexPath, imagesPath]) {
    for (const name of ['', ...readdirSync(directory)]) {
      const stat = lstatSync(join(directory, name))
      if (name === '' || stat.isFile()) takenBytes += stat.blocks * 512
    }
  }
  const { bavail, blocks, bsize } = statfsSync(path)
  return Math.floor(Math.max(0, Math.min(capacityBytes - takenBytes, bavail * bsize - freeShareMin * blocks * bsize)))
}

function versionText(blockBytes: number): string {
  return `parentfs cache\nlayout ${layoutVersion}\nblock-bytes ${blockBytes}\n`
}

function lockOf(versionPath: string, path: string, addon: Pick<Addon, 'lockFile'>): number {
  try {
    return addon.lockFile(versionPath)
  } catch (error) {
    const locked = ['EWOULDBLOCK', 'EAGAIN'].includes((error as SystemError).code)
    if (!locked)
      throw new CacheError('store-failed', `${versionPath}: cannot be locked: ${messageOf(error)}`, { cause: error })
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
