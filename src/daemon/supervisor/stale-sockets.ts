/**
 * Removes the remains of killed daemons from the runtime directory: sockets without a listener, and locks without a
 * holder.
 *
 * A starting daemon has the lock of its mountpoint before it listens. So a process that holds the lock and is refused
 * at the socket knows that the daemon is dead, and no other can take its place meanwhile.
 */
import { readdirSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
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
    const socket = join(directory, `${name}.sock`)
    // Most are alive: their locks are not touched.
    if ((await stateOf(socket)) === 'alive') continue
    const unlock = lockOrNull(join(directory, `${name}.lock`), addon)
    if (unlock === null) continue
    if ((await stateOf(socket)) === 'dead') {
      unlinkSync(socket)
      removed++
    }
    unlock()
  }
  return removed
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
