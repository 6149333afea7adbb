/**
 * `parentfs pin` and `unpin`: pinned images are never evicted.
 */

import { requestPin } from '../../admin/admin-client.ts'
import { say } from '../output/terminal-output.ts'
import { findImage, noDaemon } from './target.ts'

/**
 * @param image its name or path
 * @param path of the mount; null: as the image says, or the only one
 * @returns the exit code
 * @throws CacheError not-found, invalid-argument (too much is pinned), access-denied, closed
 */
export async function pin(image: string, path: string | null, pinned: boolean): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  if (!(await requestPin(socket, name, pinned))) throw await noDaemon(mountpoint)
  const said = pinned ? 'pinned; "parentfs promote" brings in what is missing' : 'not pinned any more'
  say(`${name}: ${said}`)
  return 0
}
