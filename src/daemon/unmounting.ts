/**
 * Taking a mount away: with what stands in the way said and logged, or whatever stands in the way.
 */
import { isCacheError, messageOf } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { findHolders, formatHolders } from './holders.ts'
import type { Refusal } from './messages.ts'
import type { Mounter } from './mounter.ts'

/** @param force take it away from who uses it. @returns null, or why it stays mounted and who uses it */
export async function tryToUnmount(mounter: Mounter, force: boolean, logger: Logger): Promise<Refusal | null> {
  try {
    await unmountOrForce(mounter, force, logger)
    logger.info({ mountpoint: mounter.mountpoint }, 'unmounted')
    return null
  } catch (error) {
    const busy = isCacheError(error, 'mount-busy')
    const holders = busy ? await findHolders(mounter.mountpoint) : []
    const message = busy ? `${messageOf(error)} by ${formatHolders(holders)}; it stays mounted` : messageOf(error)
    logger.error({ holders }, message)
    return { code: busy ? 'mount-busy' : 'mount-failed', message, holders }
  }
}

/** Where the mount has to go whatever happens: problems are logged. */
export async function forceUnmount(mounter: Mounter, logger: Logger): Promise<void> {
  try {
    await mounter.unmount(true)
  } catch (error) {
    logger.error({ reason: messageOf(error) }, 'the mount could not be removed')
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
