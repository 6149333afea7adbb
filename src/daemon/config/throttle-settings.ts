/**
 * Throttles of an origin of any kind: requests, bytes a second, bursts.
 */
import type { ThrottleOptions } from '../../origin/wrappers/throttle.ts'
import { countField, rateField, sizeField } from './setting-fields.ts'

const TiB = 1024 ** 4

export const throttleFields = {
  readsPerSecond: countField({ min: 0, max: 1_000_000 }, 0, {
    live: true,
    what: 'reads a second that the origin is asked for at most, the others wait; 0 for any number',
  }),
  readsBurst: countField({ min: 0, max: 1_000_000 }, 0, {
    live: true,
    what: 'how many of them may come at once after a rest; 0 for as many as in a second',
  }),
  bytesPerSecond: rateField({ min: 0, max: TiB }, 0, { live: true, what: 'the same in bytes; 0 for any number' }),
  bytesBurst: sizeField({ min: 0, max: TiB }, 0, { live: true, what: 'likewise' }),
}

type ThrottleSettings = { readonly [name in keyof typeof throttleFields]: number }

/** The same, as src/origin/wrappers/throttle.ts wants it. */
export function throttleOptionsOf(settings: ThrottleSettings): ThrottleOptions {
  const { readsPerSecond, readsBurst, bytesPerSecond, bytesBurst } = settings
  return {
    reads: { perSecond: readsPerSecond, burst: readsBurst },
    bytes: { perSecond: bytesPerSecond, burst: bytesBurst },
  }
}
