/**
 * One supervisor for each mountpoint: a lock file beside the admin socket is held from before the look at the mount
 * table until the end. Without it, two supervisors could both find the directory free, and mount on top of each other.
 *
 * It is a flock and ends with the process; a file that a killed supervisor left is used again.
 */
import { fstatSync, statSync, unlinkSync } from 'node:fs'
import { prepareRuntimeDirectory, runtimeDirectory, runtimeSurroundings, socketPath } from '../../admin/socket-path.ts'
import { lockPathBeside } from '../../admin/supervisor-presence.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Addon, SystemError } from '../../native/addon.ts'

/**
 * The path of the lock of a mountpoint (absolute, without symbolic links); its directory is made. @throws CacheError
 * access-denied
 */
export function mountpointLockPath(mountpoint: string): string {
  const surroundings = runtimeSurroundings()
  const directory = runtimeDirectory(surroundings)
  prepareRuntimeDirectory(directory, surroundings)
  return lockPathBeside(socketPath(mountpoint, directory))
}

/**
 * Take the lock at `path`.
 * @returns its release, which removes the file
 * @throws CacheError mount-busy when another process has it, access-denied
 */
export function lockMountpoint(
  path: string,
  mountpoint: string,
  addon: Pick<Addon, 'lockFile' | 'closeFd'>,
): () => void {
  for (;;) {
    const fd = lock(path, mountpoint, addon)
    // Its last holder may have removed the file after we opened it: a third would then lock another file.
    if (isSame(fd, path)) {
      return () => {
        unlinkSync(path)
        addon.closeFd(fd)
      }
    }
    addon.closeFd(fd)
  }
}

function lock(path: string, mountpoint: string, addon: Pick<Addon, 'lockFile'>): number {
  try {
    return addon.lockFile(path)
  } catch (cause) {
    if (['EWOULDBLOCK', 'EAGAIN'].includes((cause as SystemError).code)) {
      const advice = 'wait until it is up or has gone, then look with "parentfs status"'
      throw new CacheError('mount-busy', `mountpoint ${mountpoint} is being mounted by another parentfs: ${advice}`, {
        cause,
      })
    }
    throw new CacheError('access-denied', `${path} cannot be locked: ${messageOf(cause)}`, { cause })
  }
}

function isSame(fd: number, path: string): boolean {
  const [ours, there] = [fstatSync(fd), statSync(path, { throwIfNoEntry: false })]
  return ours.ino === there?.ino && ours.dev === there.dev
}
