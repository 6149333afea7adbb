/**
 * `parentfs evict`: frees the cached blocks of an image; its open readers go on, from the origin.
 */

import { requestLong } from '../../admin/progress-client.ts'
import { createProgressView } from '../output/progress.ts'
import { size } from '../output/tables.ts'
import { say } from '../output/terminal-output.ts'
import { findImage, noDaemon } from './target.ts'

const stays = 'stays, as the kernel reads the file by itself (passthrough) until it is closed everywhere'
const cameBack = 'came back, because it is being read or promoted'

/**
 * @param image its name or path
 * @param path of the mount; null: as the image says, or the only one
 * @returns the exit code: 1 when something is left, because it is in use all the time
 * @throws CacheError not-found, invalid-argument (it is pinned), store-failed, access-denied, closed
 */
export async function evict(image: string, path: string | null): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const view = await createProgressView()
  try {
    const onProgress = view.update
    const evicted = await requestLong(socket, 'evict', { image: name }, { onProgress })
    if (!evicted) throw await noDaemon(mountpoint)
    view.stop()
    const { objects, bytes, leftBytes, leftBy } = evicted
    const left = leftBytes > 0 ? `; ${size(leftBytes)} ${leftBy === 'passthrough' ? stays : cameBack}` : ''
    say(`${name}: ${size(bytes)} in ${objects} objects evicted${left}`)
    return leftBytes > 0 ? 1 : 0
  } finally {
    view.stop()
  }
}
