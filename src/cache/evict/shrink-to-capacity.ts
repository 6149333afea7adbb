/**
 * Shrinks the cache to a lowered capacity. No reservation is granted meanwhile; earlier ones land first, and count.
 */
import { pause } from '../../async/pause.ts'
import { valueWithin } from '../../async/with-timeout.ts'
import type { Store } from '../../store/store.ts'
import type { Evictor } from './evictor.ts'
import { fitLookMs, fitMsMax } from './limits.ts'

/** Resolves when it fits, or after {@link fitMsMax}: eviction goes on then. Never rejects. */
export async function shrinkToCapacity(store: Store, evictor: Evictor, now: () => number): Promise<void> {
  const endMs = now() + fitMsMax
  const isOver = () => store.capacity.usedBytes > store.capacity.capacityBytes
  do {
    await store.flush() // What is reserved and not needed is given back then.
    await valueWithin(Math.max(0, endMs - now()), evictor.checkNow(), () => {})
    if (isOver()) await pause(fitLookMs)
  } while (isOver() && now() < endMs)
}
