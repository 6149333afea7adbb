/**
 * `parentfs evict --all` and `parentfs drain`: empty the cache of a mount, or of one origin. `parentfs remove` takes an
 * origin out of the mount.
 */

import { requestLong } from '../../admin/progress-client.ts'
import { type EmptiedCache, namesOfHeld } from '../../cache/operations/empty-cache.ts'
import { createProgressView } from '../output/progress.ts'
import { size } from '../output/tables.ts'
import { say } from '../output/terminal-output.ts'
import { findMount, noDaemon } from './target.ts'

export interface EmptyArguments {
  readonly what: 'evict-all' | 'drain'
  /** Its directory or URL; null for all. */
  readonly origin: string | null
  /** Of the mount; null: the only one. */
  readonly path: string | null
}

/**
 * @returns the exit code: 1 when something is left
 * @throws CacheError not-found, store-failed, access-denied, closed
 */
export async function emptyCommand({ what, origin, path }: EmptyArguments): Promise<number> {
  const { mountpoint, socket } = await findMount(path, 'say which one with -m DIR')
  const view = await createProgressView()
  try {
    const emptied = await requestLong(socket, what, { origin }, { onProgress: view.update })
    if (!emptied) throw await noDaemon(mountpoint)
    view.stop()
    say(`${origin ?? mountpoint}: ${summaryOf(emptied)}`)
    return emptied.held.length > 0 ? 1 : 0
  } finally {
    view.stop()
  }
}

/**
 * @param origin its directory or URL
 * @returns the exit code
 * @throws CacheError not-found, invalid-argument, access-denied, closed
 */
export async function removeCommand(origin: string, path: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path, 'say which one with -m DIR')
  const view = await createProgressView()
  try {
    const emptied = await requestLong(socket, 'remove', { origin }, { onProgress: view.update })
    if (!emptied) throw await noDaemon(mountpoint)
    view.stop()
    say(`${origin}: removed from ${mountpoint}, ${size(emptied.bytes)} evicted`)
    return 0
  } finally {
    view.stop()
  }
}

function summaryOf({ images, bytes, held }: EmptiedCache): string {
  const left = held.reduce((sum, each) => sum + each.bytes, 0)
  const who = held.length > 0 ? `, held by ${namesOfHeld(held)}` : ''
  return `${size(bytes)} of ${images} ${images === 1 ? 'image' : 'images'} evicted, ${size(left)} left${who}`
}
