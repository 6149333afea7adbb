/**
 * `parentfs unmount`: asks the daemon, and waits until it has gone; where none answers, removes the mount itself.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fetchStatus, requestUnmount } from '../../admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../admin/socket-path.ts'
import { pause } from '../../async/pause.ts'
import { CacheError, type ErrorCode, isCacheError } from '../../base/errors.ts'
import { findHolders, formatHolders } from '../../daemon/mount/mount-holders.ts'
import { fileSystemType, mountAt } from '../../daemon/mount/mount-table.ts'
import { createMounter } from '../../daemon/mount/mounter.ts'
import { probe, resolveMountpoint } from '../../daemon/mount/mountpoint.ts'
import { stopMsMax } from '../../daemon/supervisor/limits.ts'
import { loadAddon } from '../../native/addon.ts'

/** The interval at which a process is looked for. */
const lookMs = 10

/**
 * @returns the exit code
 * @throws CacheError mount-busy with the holders, not-found when it is no parentfs mount
 */
export async function unmount(path: string, force: boolean): Promise<number> {
  const mountpoint = await resolveMountpoint(path)
  // Our working directory must not hold it.
  process.chdir('/')
  const socket = socketPath(mountpoint, trustedRuntimeDirectory())
  const status = await fetchStatus(socket)
  const refusal = await requestUnmount(socket, force)
  if (refusal === 'absent') {
    await unmountOurselves(mountpoint, force)
  } else if (refusal) {
    const advice = refusal.code === 'mount-busy' ? ': end them, or unmount with --force' : ''
    throw new CacheError(refusal.code as ErrorCode, `${refusal.message}${advice}`)
  }
  if (status) await waitForEnd([status.pid, status.supervisorPid])
  return 0
}

/** There is no daemon of ours: a stale mount goes, a living one of another user as umount(8) would do it. */
async function unmountOurselves(mountpoint: string, force: boolean): Promise<void> {
  const entry = await mountAt(mountpoint)
  if (entry?.type !== fileSystemType) {
    throw new CacheError('not-found', `${mountpoint} is not a parentfs mount: "parentfs status" lists the mounts`)
  }
  const isStale = (await probe(mountpoint)) === 'stale'
  try {
    await createMounter(loadAddon(), mountpoint).unmount(force || isStale)
  } catch (error) {
    if (!isCacheError(error, 'mount-busy')) throw error
    const holders = formatHolders(await findHolders(mountpoint, entry.device))
    throw new CacheError('mount-busy', `${error.message} by ${holders}; it stays mounted: end them, or use --force`)
  }
}

/** The next mount finds the cache directory unlocked. */
async function waitForEnd(pids: readonly number[]): Promise<void> {
  const deadlineMs = performance.now() + stopMsMax
  while (pids.some(isAlive)) {
    if (performance.now() > deadlineMs) {
      throw new CacheError('closed', `unmounted, but the daemon (${pids.join(', ')}) is still running`)
    }
    await pause(lookMs)
  }
}

/**
 * A zombie without further threads has let go of everything, and may wait long for a parent to notice. One with threads
 * that still end holds its files. Source: proc(5), /proc/pid/stat, /proc/pid/task.
 */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const isZombie = /[ZX]/.test(stat.charAt(stat.lastIndexOf(')') + 2))
    return !isZombie || readdirSync(`/proc/${pid}/task`).length > 1
  } catch {
    return false
  }
}
