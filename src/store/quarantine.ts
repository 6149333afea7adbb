/** Gives up a whole image: for bytes that must not be served again. */
import { allBlocks } from '../base/image.ts'
import type { StoredImage } from './image/stored-image.ts'

/**
 * Quarantines an image: takes everything from readers at once, then forgets and punches it, object by object. While the
 * kernel has references to the file, its bytes stay, without readers of ours: to be called again then.
 * @throws CacheError index-failed; SystemError: the rest is not published
 */
export async function quarantine(stored: StoredImage): Promise<void> {
  stored.file.setFetchOrigin(null)
  stored.file.removeBuffered()
  // A scrub that comes to an object between the two passes must not publish it again.
  stored.residency.freeze(true)
  const objects = [...stored.heldObjects()]
  for (const object of objects) stored.residency.revoke(object, allBlocks)
  if (stored.kernelRefs.exist) return
  for (const object of objects) await stored.abandon(object, allBlocks)
  stored.residency.freeze(false)
}
