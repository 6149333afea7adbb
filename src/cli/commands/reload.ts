/**
 * `parentfs reload`: asks the daemon to read its configuration file again, and says what came of it.
 */

import { requestReload } from '../../admin/admin-client.ts'
import { failedExitCode } from '../output/exit-codes.ts'
import { say } from '../output/terminal-output.ts'
import { findMount, noDaemon } from './target.ts'

/**
 * @param path null: the only mount there is
 * @returns the exit code: 0 when all of it is in effect, 1 when something waits for the next mount
 * @throws CacheError invalid-argument when the file is not usable: nothing has changed then; not-found
 */
export async function reload(path: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const outcome = await requestReload(socket)
  if (outcome === null) throw await noDaemon(mountpoint)
  const { changed, waiting } = outcome
  const lines = [
    ...changed.map(({ key, from, to }) => `${key} is ${to} now, after ${from}`),
    ...waiting.map(({ key, from, to }) => `${key} stays ${from} until the next mount, although the file says ${to}`),
  ]
  if (lines.length === 0) lines.push('nothing to change; secrets are read again')
  for (const line of lines) say(`${mountpoint}: ${line}`)
  return waiting.length === 0 ? 0 : failedExitCode
}
