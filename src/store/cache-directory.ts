/**
 * The cache directory: made, recognised and locked before anything else touches it.
 *
 * It is ours when its VERSION file says so. A directory that holds anything else is refused, never cleaned. The lock is a
 * flock on VERSION and ends with the process.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
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

/** What an empty directory may hold: mkfs makes it. */
const harmlessEntries = new Set(['lost+found'])

/**
 * Open or create `path` as a cache with blocks of `blockBytes`, and lock it.
 * @throws CacheError cache-foreign, cache-layout, cache-locked, store-failed
 */
export function openCacheDirectory(
  path: string,
  blockBytes: number,
  addon: Pick<Addon, 'lockFile' | 'closeFd'>,
): CacheDirectory {
  const versionPath = join(path, 'VERSION')
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const entries = readdirSync(path).filter(entry => !harmlessEntries.has(entry))
    if (entries.length === 0) {
      writeFileSync(versionPath, versionText(blockBytes), { mode: 0o600, flush: true })
    } else if (!entries.includes('VERSION')) {
      const advice = 'name an empty directory, or one that parentfs made'
      throw new CacheError('cache-foreign', `${path}: not a parentfs cache, and not empty: ${advice}`)
    }
  } catch (error) {
    if (error instanceof CacheError) throw error
    throw new CacheError('store-failed', `${path}: the cache directory cannot be made: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const lock = lockOf(versionPath, path, addon)
  try {
    checkVersion(readFileSync(versionPath, 'utf8'), path, blockBytes)
    const imagesPath = join(path, 'images')
    mkdirSync(imagesPath, { recursive: true, mode: 0o700 })
    let locked = true
    const unlock = () => {
      if (locked) addon.closeFd(lock)
      locked = false
    }
    return { path, indexPath: join(path, 'index'), imagesPath, unlock }
  } catch (error) {
    addon.closeFd(lock)
    throw error
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
