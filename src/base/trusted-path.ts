/**
 * Judges whether a path can be trusted: another user must not be able to put another file in its place, now or while it
 * is used.
 *
 * It is judged as sshd judges the way to a user's keys. Every directory above it, every link that leads there and its
 * end have to belong to root or to us, and be writable by the owner alone. A directory with the sticky bit may be open
 * to all, because only the owner of an entry can exchange it; the entry is judged in its turn. Access control lists
 * show in the bits of the group. The walk begins at the root: once a directory has been judged, only root or we can
 * change its entries.
 *
 * Source: OpenSSH, misc.c, safe_path.
 */
import { lstatSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { CacheError } from './errors.ts'

/** The entry at one place of a walk. */
export interface PathEntry {
  readonly kind: 'directory' | 'link' | 'other'
  readonly uid: number
  /** Type and permissions, as stat(2) gives them. */
  readonly mode: number
  /** Of a link: where it leads. */
  readonly target: string
}

/** @returns what lies at a path without links above it; null where nothing does. @throws SystemError */
export type LookAt = (path: string) => PathEntry | null

/** Links that one path may lead over, as in the kernel. Source: Linux include/linux/namei.h, MAXSYMLINKS. */
export const linksMax = 40

/** Group and others. */
const writableByOthers = 0o022
const sticky = 0o1000

/**
 * Judge `path`, a file or a directory, with the whole way there. A path that does not exist yet is judged as far as it
 * exists.
 * @param uid our user
 * @returns the complaint and its remedy, in one clause that names the place; null where all of it is trusted
 * @throws SystemError when it cannot be looked at
 */
export function whyUntrusted(path: string, uid = process.geteuid?.() ?? 0, lookAt: LookAt = lookAtDisk): string | null {
  const ahead = ['/', ...partsOf(path.startsWith('/') ? path : `${process.cwd()}/${path}`)]
  let [at, links] = ['/', 0]
  for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    const place = join(at, name)
    const entry = lookAt(place)
    if (entry === null) return null
    const why = whyEntryUntrusted(place, entry, uid, ahead.length > 0)
    if (why !== null) return why
    if (entry.kind !== 'link') {
      at = place
      continue
    }
    if (++links > linksMax) return `${path} leads over more than ${linksMax} links`
    ahead.unshift(...partsOf(entry.target))
    if (entry.target.startsWith('/')) at = '/'
  }
  return null
}

/** The same for callers that need the path. @throws CacheError of `code`; SystemError */
export function mustBeTrusted(
  path: string,
  code: 'cache-foreign' | 'invalid-argument' | 'access-denied',
  uid?: number,
  lookAt?: LookAt,
): void {
  const why = whyUntrusted(path, uid, lookAt)
  if (why !== null) throw new CacheError(code, why)
}

/** @param isAbove a directory on the way: each user who can write to it can exchange its entries */
function whyEntryUntrusted(place: string, { kind, uid: owner, mode }: PathEntry, uid: number, isAbove: boolean) {
  const what = kind === 'link' ? `${place} is a link that` : place
  if (owner !== 0 && owner !== uid) {
    const harm = isAbove || kind !== 'other' ? 'could lead us elsewhere' : 'could change it'
    return `${what} belongs to user ${owner}, who ${harm}: give it to root or user ${uid}, or name another place`
  }
  // Everybody may do everything with a link, says its mode; it cannot be changed, only exchanged.
  if (kind === 'link' || (mode & writableByOthers) === 0) return null
  if (kind === 'directory' && (mode & sticky) !== 0) return null
  return `${place} can be written by others than its owner: run "chmod go-w ${place}", or name another place`
}

// ".." stays: after a link it means the parent of where that leads.
function partsOf(path: string): string[] {
  return path.split('/').filter(part => part !== '' && part !== '.')
}

/** The entry that lies there now. */
export function lookAtDisk(path: string): PathEntry | null {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat) return null
  const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : 'other'
  return { kind, uid: stat.uid, mode: stat.mode, target: kind === 'link' ? readlinkSync(path) : '' }
}
