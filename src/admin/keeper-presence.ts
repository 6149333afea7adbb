/**
 * Whether a mount has a keeper, which puts another server in the place of one that has died: then whoever finds nobody listening
 * on the admin socket had better wait for a moment.
 *
 * A keeper holds the lock beside the socket for as long as it lives. A lock file alone means nothing: a killed keeper leaves it. It says,
 * though, when a service manager holds the mount: then another keeper is to come.
 */
import { readFileSync, statSync } from 'node:fs'
import { nextKeeperMsMax, successorMsMax } from '../process-limits.ts'

/** Where the keeper of the mount with this admin socket holds its lock. */
export function lockPathBeside(socketPath: string): string {
  return socketPath.replace(/\.sock$/, '.lock')
}

/** What a lock file says of a mount that outlives its keeper. */
export const keptMark = 'kept\n'

/**
 * How long whoever finds nobody at the admin socket had better wait for the next server, in milliseconds; 0: there is none to come.
 * @param socketPath of the admin socket
 */
export function successorPatienceMs(socketPath: string): number {
  const path = lockPathBeside(socketPath)
  try {
    const { ino } = statSync(path)
    if (lockedInodes(readFileSync('/proc/locks', 'utf8')).has(ino)) return successorMsMax
    return readFileSync(path, 'utf8') === keptMark ? nextKeeperMsMax : 0
  } catch {
    return 0
  }
}

/**
 * The inode numbers of files under flock: lines like `1: FLOCK  ADVISORY  WRITE 708 fe:01:13548 0 EOF`.
 * Source: proc_locks(5).
 */
function lockedInodes(text: string): Set<number> {
  const inodes = [...text.matchAll(/^\d+: FLOCK\s.* \S+:(\d+) \S+ \S+$/gm)].map(match => Number(match[1]))
  return new Set(inodes)
}
