/**
 * Evicts a batch of objects: clear and bump, forget durably, then punch. A crash between any two of these leaves bytes
 * without a record, never a record without bytes.
 */
import type { StoreContext } from './image/store-context.ts'
import type { StoredImage } from './image/stored-image.ts'

/** An object that could be evicted. */
export interface EvictionCandidate {
  readonly stored: StoredImage
  readonly object: number
  /** The time at which it was chosen: an object that was used since is kept; null: it goes all the same. */
  readonly lastUse: number | null
}

/**
 * Evict objects that are held, unused since they were chosen, and without kernel references. The caller holds the locks
 * of all objects.
 * @throws CacheError index-failed; SystemError when a punch fails
 */
export async function evictLocked(
  batch: readonly EvictionCandidate[],
  { index, health }: Pick<StoreContext, 'index' | 'health'>,
): Promise<{ objects: number; bytes: number }> {
  const cold = batch.filter(
    ({ stored, object, lastUse }) =>
      (lastUse === null || stored.residency.lastUse(object) === lastUse) &&
      stored.held(object) !== 0n &&
      !stored.kernelRefs.exist,
  )
  const forgotten = cold.map(({ stored, object }) => ({
    imageId: stored.imageId,
    object,
    blocks: stored.beginEviction(object),
  }))
  await index.forget(forgotten)
  // All of them, also when one fails: a punch that is still under way must not outlive the locks.
  const punched = await Promise.allSettled(cold.map(({ stored, object }) => stored.finishEviction(object)))
  const failed = punched.find(each => each.status === 'rejected')
  if (failed) {
    health.writeFailed(failed.reason)
    throw failed.reason
  }
  const bytes = punched.reduce((sum, each) => sum + (each.status === 'fulfilled' ? each.value : 0), 0)
  return { objects: cold.length, bytes }
}
