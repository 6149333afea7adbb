/**
 * Removes the remains of killed daemons from the runtime directory: sockets without a listener, and locks without a
 * holder.
 *
 * A starting daemon has the lock of its mountpoint before it listens, and listens at a socket of its own. So a process
 * that holds the lock, and finds the very socket at which it was refused, knows that the daemon is dead.
 *
 * The lock is held for no longer than that takes: another supervisor may be about to start there. One is for sure where
 * a service manager holds the mount. Its remains tell commands to wait, and stay.
 */
import { readdirSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { keptMark } from '../../admin/supervisor-presence.ts'
import type { Addon } from '../../native/addon.ts'
import { lockMountpoint } from '../mount/mountpoint-lock.ts'

/** @returns how many sockets were removed; what cannot be looked at stays */
export async function removeStaleSockets(
  directory: string,
  addon: Pick<Addon, 'lockFile' | 'closeFd'>,
): Promise<number> {
  const names = readdirSync(directory).flatMap(name => /^([0-9a-f]+)\.(?:sock|lock)$/.exec(name)?.[1] ?? [])
  let removed = 0
  for (const name of new Set(names)) {
    const [socket, lock] = [join(directory, `${name}.sock`), join(directory, `${name}.lock`)]
    const before = markOf(socket)
    // Most are alive: their locks are not touched.
    const state = await stateOf(socket)
    if (state === 'alive' || isKept(lock)) continue
    const unlock = lockOrNull(lock, addon)
    if (unlock === null) continue
    if (state === 'dead' && markOf(socket) === before) {
      unlinkSync(socket)
      removed++
    }
    unlock()
  }
  return removed
}

/** Another socket in its place has another one; null where there is none. */
function markOf(socket: string): string | null {
  const stat = statSync(socket, { bigint: true, throwIfNoEntry: false })
  return stat ? `${stat.dev} ${stat.ino} ${stat.ctimeNs}` : null
}

/** A service manager holds the mount for another supervisor. */
function isKept(lock: string): boolean {
  try {
    return readFileSync(lock, 'utf8').startsWith(keptMark)
  } catch {
    return false
  }
}

/** Null where another process has it. */
function lockOrNull(path: string, addon: Pick<Addon, 'lockFile' | 'closeFd'>): (() => void) | null {
  try {
    return lockMountpoint(path, path, addon)
  } catch {
    return null
  }
}

/** Only a refusal shows that there is no listener: a busy one has a full queue. */
function stateOf(socket: string): Promise<'alive' | 'dead' | 'absent'> {
  return new Promise(resolve => {
    const connection = connect(socket)
    connection.once('connect', () => {
      connection.destroy()
      resolve('alive')
    })
    connection.once('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code === 'ECONNREFUSED' ? 'dead' : code === 'ENOENT' ? 'absent' : 'alive')
    })
  })
}
