/**
 * Whether a mount has a supervisor, which puts another worker in the place of one that has died: then whoever finds nobody listening
 * on the admin socket had better wait for a moment.
 *
 * A supervisor holds the lock beside the socket for as long as it lives. A lock file alone means nothing: a killed supervisor leaves it. It says,
 * though, when a service manager holds the mount: then another supervisor is to come. And why no worker comes up, where that takes long.
 */
import { readFileSync, statSync } from 'node:fs'
import { nextSupervisorMsMax, successorMsMax } from './limits.ts'

/** Where the supervisor of the mount with this admin socket holds its lock. */
export function lockPathBeside(socketPath: string): string {
  return socketPath.replace(/\.sock$/, '.lock')
}

/** What a lock file says of a mount that outlives its supervisor: a line of its own. */
export const keptMark = 'kept\n'
/** What goes before the reason why no worker comes up. */
const troubleMark = 'trouble: '

/** What a supervisor writes into its lock file. @param trouble one line, or null */
export function presenceText(isKept: boolean, trouble: string | null): string {
  return `${isKept ? keptMark : ''}${trouble === null ? '' : `${troubleMark}${trouble.replace(/\s+/g, ' ')}\n`}`
}

/** Why the supervisor of the mount with this admin socket has no worker; null where it has not said so, or is gone. */
export function troubleOf(socketPath: string): string | null {
  try {
    if (!isLocked(lockPathBeside(socketPath))) return null
    const line = linesIn(lockPathBeside(socketPath)).find(each => each.startsWith(troubleMark))
    return line?.slice(troubleMark.length) ?? null
  } catch {
    return null
  }
}

/**
 * How long whoever finds nobody at the admin socket had better wait for the next worker, in milliseconds; 0: there is none to come.
 * @param socketPath of the admin socket
 */
export function successorWaitMs(socketPath: string): number {
  const path = lockPathBeside(socketPath)
  try {
    if (isLocked(path)) return successorMsMax
    return linesIn(path).includes(keptMark.trim()) ? nextSupervisorMsMax : 0
  } catch {
    return 0
  }
}

function isLocked(path: string): boolean {
  return lockedInodes(readFileSync('/proc/locks', 'utf8')).has(statSync(path).ino)
}

function linesIn(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n')
}

/**
 * The inode numbers of files under flock: lines like `1: FLOCK  ADVISORY  WRITE 708 fe:01:13548 0 EOF`.
 * Source: proc_locks(5).
 */
function lockedInodes(text: string): Set<number> {
  const inodes = [...text.matchAll(/^\d+: FLOCK\s.* \S+:(\d+) \S+ \S+$/gm)].map(match => Number(match[1]))
  return new Set(inodes)
}
