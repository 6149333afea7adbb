/**
 * `parentfs move-cache`: exchanges the cache directory for another one, on another disk perhaps. Readers wait for a
 * moment.
 */

import { resolve } from 'node:path'
import { fetchStatus, requestMove } from '../../admin/admin-client.ts'
import { successorLookMs } from '../../admin/limits.ts'
import type { Status } from '../../admin/status.ts'
import { pause } from '../../async/pause.ts'
import { CacheError } from '../../base/errors.ts'
import { say } from '../output/terminal-output.ts'
import { upgradeMsMax } from './limits.ts'
import { findMount, noDaemon } from './target.ts'

/**
 * @param to the new directory
 * @param path of the mount; null: the only one
 * @returns the exit code: 1 when the old directory could not be emptied yet
 * @throws CacheError when it is refused, or when the cache stays where it is
 */
export async function moveCache(to: string, path: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path, 'say which one with -m DIR')
  const before = await fetchStatus(socket)
  const accepted = before && (await requestMove(socket, resolve(to)))
  if (!before || !accepted) throw await noDaemon(mountpoint)
  const after = await lookUntil(socket, now => now.takeovers.count > before.takeovers.count)
  if (!after) throw new CacheError('closed', `${mountpoint}: no other worker took over in time: see the log`)
  if (after.cache.directory === before.cache.directory) {
    const why = after.takeovers.refusedUpgrade ?? 'the next worker did not come up'
    throw new CacheError('mount-failed', `${mountpoint}: the cache stays in ${before.cache.directory}: ${why}`)
  }
  const cleaned = await lookUntil(socket, now => now.cache.movedFrom === null)
  const left = cleaned ? 'is empty' : 'is not empty yet'
  const waited = `readers waited for ${after.takeovers.lastPauseMs} ms`
  say(`${mountpoint}: the cache is in ${after.cache.directory}, ${before.cache.directory} ${left}; ${waited}`)
  say('the next mount goes by the configuration: set cache.directory, or --cache-dir, to the new directory')
  return cleaned ? 0 : 1
}

/** @returns the first status that is right; null: none in time */
async function lookUntil(socket: string, isRight: (status: Status) => boolean): Promise<Status | null> {
  const endMs = performance.now() + upgradeMsMax
  while (performance.now() < endMs) {
    const now = await fetchStatus(socket)
    if (now && isRight(now)) return now
    await pause(successorLookMs)
  }
  return null
}
