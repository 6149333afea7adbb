/**
 * `parentfs set capacity`: asks the daemon for another ceiling, and waits until the cache has shrunk to it.
 */

import prettyBytes from 'pretty-bytes'
import { requestCapacity } from '../../admin/admin-client.ts'
import { say } from '../output/terminal-output.ts'
import { findMount, noDaemon } from './target.ts'

/**
 * @param path null: the only mount there is
 * @returns the exit code: 0 when the cache fits, 1 when it could not be made to
 * @throws CacheError invalid-argument, not-found when no daemon is there
 */
export async function setCapacity(path: string | null, capacityBytes: number): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const usedBytes = await requestCapacity(socket, capacityBytes)
  if (usedBytes === null) throw await noDaemon(mountpoint)
  const [used, capacity] = [usedBytes, capacityBytes].map(bytes => prettyBytes(bytes, { binary: true }))
  say(`${mountpoint}: ${used} used, ${capacity} allowed`)
  return usedBytes <= capacityBytes ? 0 : 1
}
