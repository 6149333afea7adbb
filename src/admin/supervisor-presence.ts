/**
 * Presence of a supervisor, which replaces a dead worker: a command that finds no listener on the admin socket waits
 * for a moment then.
 *
 * A supervisor holds the lock beside the socket as long as it lives. A lock file alone means nothing: a killed
 * supervisor leaves it. Its text tells whether a service manager holds the mount, so that another supervisor is to
 * come, and why no worker comes up, where that takes long.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { lockListPageBytes, lockLooksMax, nextSupervisorMsMax, successorMsMax } from './limits.ts'

/** The path of the supervisor's lock for the mount with this admin socket. */
export function lockPathBeside(socketPath: string): string {
  return socketPath.replace(/\.sock$/, '.lock')
}

/** The line of a lock file whose mount outlives its supervisor. */
export const keptMark = 'kept\n'
/** The prefix of the reason why no worker comes up. */
const troubleMark = 'trouble: '

/** The text of a supervisor's lock file. @param trouble one line, or null */
export function presenceText(isKept: boolean, trouble: string | null): string {
  return `${isKept ? keptMark : ''}${trouble === null ? '' : `${troubleMark}${trouble.replace(/\s+/g, ' ')}\n`}`
}

/**
 * Replace the text of a lock file, which exists. A supervisor that is killed meanwhile must not leave an empty one:
 * nothing is cut off before the new text is there.
 */
export function writePresence(lockPath: string, text: string): void {
  const fd = openSync(lockPath, 'r+')
  try {
    writeSync(fd, text, 0)
    ftruncateSync(fd, Buffer.byteLength(text))
  } finally {
    closeSync(fd)
  }
}

/** The locks of this machine as text, in the form of /proc/locks. */
export type ListLocks = () => string

const kernelLocks: ListLocks = () => readFileSync('/proc/locks', 'utf8')

/** Why the supervisor of the mount with this admin socket has no worker; null where it has not said so, or is gone. */
export function troubleOf(socketPath: string, listLocks = kernelLocks): string | null {
  try {
    if (!isLocked(lockPathBeside(socketPath), listLocks)) return null
    const line = linesIn(lockPathBeside(socketPath)).find(each => each.startsWith(troubleMark))
    return line?.slice(troubleMark.length) ?? null
  } catch {
    return null
  }
}

/**
 * The time for which a command that finds no listener had better wait for the next worker, in milliseconds; 0: there is
 * none to come.
 * @param socketPath of the admin socket
 */
export function successorWaitMs(socketPath: string, listLocks = kernelLocks): number {
  const path = lockPathBeside(socketPath)
  try {
    if (isLocked(path, listLocks)) return successorMsMax
    return linesIn(path).includes(keptMark.trim()) ? nextSupervisorMsMax : 0
  } catch {
    return 0
  }
}

/** The kernel lists locks page by page. One that ends between two pages hides another, so none is looked for again. */
function isLocked(path: string, listLocks: ListLocks): boolean {
  const { ino } = statSync(path)
  for (let looks = 0; looks < lockLooksMax; looks++) {
    const text = listLocks()
    if (lockedInodes(text).has(ino)) return true
    if (text.length < lockListPageBytes) return false
  }
  return false
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
