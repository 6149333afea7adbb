/**
 * Taking a mount away: with what stands in the way said and logged, or whatever stands in the way.
 */
import { isCacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { UnmountRefused } from '../ipc/messages.ts'
import { findHolders, formatHolders } from '../mount/mount-holders.ts'
import type { Mounter } from '../mount/mounter.ts'
import { restartPauseMsMax } from './limits.ts'
import type { SupervisorContext } from './supervisor-context.ts'

/** @param force take it away from its users. @returns null, or the reason why it stays mounted and its users */
export async function tryToUnmount(mounter: Mounter, force: boolean, logger: Logger): Promise<UnmountRefused | null> {
  try {
    await unmountOrForce(mounter, force, logger)
    logger.info({ mountpoint: mounter.mountpoint }, 'unmounted')
    return null
  } catch (error) {
    const busy = isCacheError(error, 'mount-busy')
    const holders = busy ? await findHolders(mounter.mountpoint, mounter.device) : []
    const message = busy ? `${messageOf(error)} by ${formatHolders(holders)}; it stays mounted` : messageOf(error)
    logger.error({ holders }, message)
    return { code: busy ? 'mount-busy' : 'mount-failed', message, holders }
  }
}

/** Unmounts in any case: problems are logged. */
export async function forceUnmount(mounter: Mounter, logger: Logger): Promise<void> {
  try {
    await mounter.unmount(true)
  } catch (error) {
    logger.error({ reason: messageOf(error) }, 'the mount could not be removed')
  }
}

/**
 * A mount without a worker goes unless it is in use: its users wait, as for an origin.
 * @param why to be said, and not said yet; null: it has been
 */
export async function staysForReaders(
  { mounter, logger, manager, sayTrouble }: Pick<SupervisorContext, 'mounter' | 'logger' | 'manager' | 'sayTrouble'>,
  why: string | null,
): Promise<boolean> {
  try {
    await mounter.unmount(false)
    logger.error({ mountpoint: mounter.mountpoint }, 'unmounted: there is no worker, and the mount was not in use')
    return false
  } catch (error) {
    if (why === null) return true
    logger.error({ why, reason: messageOf(error) }, 'there is no worker, and readers wait: another is tried for ever')
    manager.status(`${why}; another worker is tried every ${restartPauseMsMax / 1000} s, and readers wait`)
    sayTrouble(why)
    return true
  }
}

async function unmountOrForce(mounter: Mounter, force: boolean, logger: Logger): Promise<void> {
  try {
    await mounter.unmount(false)
  } catch (error) {
    if (!force) throw error
    logger.warn({ reason: messageOf(error) }, 'unmounting by force')
    await mounter.unmount(true)
  }
}
