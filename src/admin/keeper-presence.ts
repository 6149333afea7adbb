/**
 * Whether a mount has a keeper, which puts another server in the place of one that has died: then whoever finds nobody listening
 * on the admin socket had better wait for a moment.
 *
 * A keeper holds the lock beside the socket for as long as it lives. A lock file alone means nothing: a killed keeper leaves it.
 */
import { readFileSync, statSync } from 'node:fs'

/** Where the keeper of the mount with this admin socket holds its lock. */
export function lockPathBeside(socketPath: string): string {
  return socketPath.replace(/\.sock$/, '.lock')
}

/** @param socketPath of the admin socket */
export function hasKeeper(socketPath: string): boolean {
  try {
    const { ino } = statSync(lockPathBeside(socketPath))
    return lockedInodes(readFileSync('/proc/locks', 'utf8')).has(ino)
  } catch {
    return false
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
