/**
 * `parentfs upgrade`: replaces the running worker by another one, of another version perhaps. Readers wait for a
 * moment.
 */

import { resolve } from 'node:path'
import { fetchStatus, requestUpgrade } from '../../admin/admin-client.ts'
import { successorLookMs } from '../../admin/limits.ts'
import type { Status } from '../../admin/status.ts'
import { pause } from '../../async/pause.ts'
import { CacheError } from '../../base/errors.ts'
import { say } from '../output/terminal-output.ts'
import { upgradeMsMax } from './limits.ts'
import { findMount, noDaemon } from './target.ts'

/**
 * @param path null: the only mount there is
 * @param to the directory of the other version; null: the one that the daemon was started from
 * @returns the exit code
 * @throws CacheError when it is refused: nothing has happened then; or when the old version goes on in its place
 */
export async function upgrade(path: string | null, to: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const before = await fetchStatus(socket)
  const outcome = before && (await requestUpgrade(socket, to === null ? null : resolve(to)))
  if (!before || !outcome) throw await noDaemon(mountpoint)
  const after = await successor(socket, before)
  const { lastPauseMs, refusedUpgrade } = after.takeovers
  if (refusedUpgrade !== null) {
    const what = `version ${outcome.version} could not take over (${refusedUpgrade})`
    throw new CacheError(
      'mount-failed',
      `${mountpoint}: ${what}; version ${after.version} goes on, and no reader saw it`,
    )
  }
  const versions = `version ${after.version} serves now, after ${before.version}`
  say(`${mountpoint}: ${versions}; readers waited for ${lastPauseMs} ms`)
  return 0
}

/**
 * The status of the next worker, once it serves. One that has just taken over hears of that a moment later, so its
 * count may rise by its own takeover.
 */
async function successor(socket: string, before: Status): Promise<Status> {
  const endMs = performance.now() + upgradeMsMax
  while (performance.now() < endMs) {
    // Between two workers this waits for the second.
    const now = await fetchStatus(socket)
    if (now && now.pid !== before.pid && now.takeovers.count > before.takeovers.count) return now
    await pause(successorLookMs)
  }
  throw new CacheError(
    'closed',
    `${before.mountpoint}: no other worker after ${upgradeMsMax / 1000} seconds: see the log`,
  )
}
