/**
 * The socket file for librbd: made where nobody else could exchange it, in place of one that nobody serves.
 *
 * Ceph's own directory for sockets belongs to the user `ceph` and its group. They are trusted with it, as Ceph's own
 * daemon would run as that user.
 */
import { lstatSync, readFileSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { CacheError, messageOf } from '../../base/errors.ts'
import { lookAtDisk, type PathEntry, whyUntrusted } from '../../base/trusted-path.ts'
import type { Addon } from '../../native/addon.ts'
import type { LibrbdPlace } from '../config/settings.ts'
import { librbdProbeMsMax } from './limits.ts'

/**
 * Listens at the place.
 * @returns the descriptor
 * @throws CacheError invalid-argument: the path cannot be trusted or used; mount-busy: another process listens there
 */
export async function listenForLibrbd(addon: Pick<Addon, 'listenAt'>, place: LibrbdPlace): Promise<number> {
  const { socket, mode, group } = place
  const why = whyPlaceUntrusted(dirname(socket))
  if (why !== null) throw new CacheError('invalid-argument', `the socket for librbd: ${why}`)
  await removeStale(socket)
  try {
    return addon.listenAt(socket, mode, group)
  } catch (cause) {
    throw new CacheError('invalid-argument', `the socket ${socket} cannot be made: ${messageOf(cause)}`, { cause })
  }
}

/** Null where the way to a directory of ours is trusted; also that through Ceph's directories. */
export function whyPlaceUntrusted(directory: string, ids = cephIds()): string | null {
  const trusting = (path: string): PathEntry | null => {
    const entry = lookAtDisk(path)
    if (entry === null || ids === null || entry.uid !== ids.uid) return entry
    const isCephs = lstatSync(path).gid === ids.gid
    return { ...entry, uid: 0, mode: isCephs ? entry.mode & ~groupWrite : entry.mode }
  }
  return whyUntrusted(directory, undefined, trusting)
}

const groupWrite = 0o020

/** The user that Ceph's packages make; null where there is none. */
function cephIds(): { readonly uid: number; readonly gid: number } | null {
  try {
    const [, uid, gid] = /^ceph:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? []
    return uid === undefined ? null : { uid: Number(uid), gid: Number(gid) }
  } catch {
    return null
  }
}

/** @throws CacheError mount-busy: somebody listens; invalid-argument: it is no socket */
async function removeStale(socket: string): Promise<void> {
  const stat = lstatSync(socket, { throwIfNoEntry: false })
  if (!stat) return
  if (!stat.isSocket())
    throw new CacheError('invalid-argument', `${socket} is there and is no socket: name another path`)
  if (await isServed(socket)) {
    const advice = "stop that daemon (Ceph's own is ceph-immutable-object-cache), or name another path"
    throw new CacheError('mount-busy', `the socket ${socket} is served by another process: ${advice}`)
  }
  unlinkSync(socket)
}

/** A listener whose queue is full counts as one. */
function isServed(socket: string): Promise<boolean> {
  return new Promise(resolve => {
    const connection = connect(socket)
    const settle = (served: boolean) => {
      clearTimeout(timer)
      connection.destroy()
      resolve(served)
    }
    const timer = setTimeout(() => settle(true), librbdProbeMsMax)
    connection.once('connect', () => settle(true))
    connection.once('error', error => settle((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED'))
  })
}
