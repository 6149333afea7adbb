/**
 * Path of the admin socket of a mount: `status MOUNTPOINT` finds the daemon by the name of the directory alone.
 */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { CacheError, messageOf } from '../base/errors.ts'
import { makeDirectories } from '../base/make-directories.ts'
import { mustBeTrusted } from '../base/trusted-path.ts'

/** The user that asks, and the environment. */
export interface RuntimeSurroundings {
  readonly uid: number
  /** XDG_RUNTIME_DIR, where it is set. */
  readonly userDirectory: string | undefined
}

/** @returns the surroundings of this process */
export function runtimeSurroundings(): RuntimeSurroundings {
  return { uid: process.getuid?.() ?? 0, userDirectory: process.env.XDG_RUNTIME_DIR || undefined }
}

/** Root's sockets lie in /run/parentfs; others have a directory of their own. */
export function runtimeDirectory({ uid, userDirectory }: RuntimeSurroundings): string {
  if (uid === 0) return '/run/parentfs'
  return userDirectory === undefined ? join(tmpdir(), `parentfs-${uid}`) : join(userDirectory, 'parentfs')
}

/** @param mountpoint absolute, without symbolic links */
export function socketPath(mountpoint: string, directory: string): string {
  return join(directory, `${createHash('sha256').update(mountpoint).digest('hex').slice(0, 16)}.sock`)
}

/** All sockets there are, of daemons alive and dead. */
export function socketPaths(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter(name => name.endsWith('.sock'))
      .map(name => join(directory, name))
  } catch {
    return []
  }
}

/**
 * Make the directory, for its owner alone. Others can write to /tmp: a directory that another user put there is not
 * used.
 * @throws CacheError access-denied
 */
export function prepareRuntimeDirectory(directory: string, { uid }: RuntimeSurroundings): void {
  try {
    makeDirectories(directory, 0o700)
  } catch (cause) {
    throw new CacheError('access-denied', `${directory} cannot be made: ${messageOf(cause)}`, { cause })
  }
  mustBeOurs(directory, uid)
}

/**
 * The runtime directory as a client of a daemon may use it: another user may have made one, to answer in a daemon's
 * place.
 * @throws CacheError access-denied
 */
export function trustedRuntimeDirectory(surroundings = runtimeSurroundings()): string {
  const directory = runtimeDirectory(surroundings)
  mustBeOurs(directory, surroundings.uid)
  return directory
}

/** @throws CacheError access-denied when another user can write to it, or replace it or a directory above it */
function mustBeOurs(directory: string, uid: number): void {
  const stat = lstatSync(directory, { throwIfNoEntry: false })
  if (stat && !(stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0)) {
    throw new CacheError('access-denied', `${directory} is not a directory that only you can write: remove it`)
  }
  mustBeTrusted(dirname(directory), 'access-denied', uid)
}
