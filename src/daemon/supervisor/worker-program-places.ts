/**
 * Places for a copy of a program: beside the supervisor's lock, or in shared memory where the former may not be
 * executed, because addons are mapped code. (Many distributions mount /run with noexec.)
 */
import { basename, dirname, join } from 'node:path'

/**
 * @param lockPath of the supervisor
 * @param uid our user
 * @param mountInfo as in /proc/self/mountinfo
 * @returns paths that are ours to use, the best first
 */
export function workerProgramPlaces(lockPath: string, uid: number, mountInfo: string): string[] {
  const name = basename(lockPath).replace(/\.lock$/, '.program')
  const directories = [dirname(lockPath), `/dev/shm/parentfs-${uid}`]
  return directories.filter(each => mayExecute(each, mountInfo)).map(each => join(each, name))
}

/**
 * Parses lines like `36 35 98:0 / /mnt rw,noexec master:1 - ext3 /dev/root rw`. Source:
 * Documentation/filesystems/proc.rst, 3.5.
 */
function mayExecute(directory: string, mountInfo: string): boolean {
  let [longest, options] = [-1, '']
  for (const line of mountInfo.split('\n')) {
    const [, , , , mountpoint = '', said = ''] = line.split(' ')
    const isAbove = mountpoint === '/' || directory === mountpoint || directory.startsWith(`${mountpoint}/`)
    // Of several on one directory the last is the visible one.
    if (mountpoint === '' || !isAbove || mountpoint.length < longest) continue
    longest = mountpoint.length
    options = said
  }
  return !options.split(',').includes('noexec')
}
