/** Gives up a whole image: for bytes that must not be served again. */
import type { StoredImage } from './stored-image.ts'

const all = 0xffff_ffff_ffff_ffffn

/**
 * Take everything from readers at once, then forget and punch it, object by object.
 * @throws CacheError index-failed; SystemError: what is left is not published
 */
export async function giveUp(stored: StoredImage): Promise<void> {
  const objects = [...stored.heldObjects()]
  for (const object of objects) stored.residency.revoke(object, all)
  for (const object of objects) await stored.abandon(object, all)
}
