/**
 * Throttles of an origin of any kind: requests, bytes a second, bursts.
 */
import type { ThrottleOptions } from '../../origin/wrappers/throttle.ts'
import { countField, rateField, sizeField } from './setting-fields.ts'

const TiB = 1024 ** 4

export const throttleFields = {
  readsPerSecond: countField({ min: 0, max: 1_000_000 }, 0, {
    live: true,
    what: 'rate limit of reads of the origin; further reads wait; 0: no limit',
  }),
  readsBurst: countField({ min: 0, max: 1_000_000 }, 0, {
    live: true,
    what: "reads that may go at once after a pause; 0: one second's worth of readsPerSecond",
  }),
  bytesPerSecond: rateField({ min: 0, max: TiB }, 0, {
    live: true,
    what: 'rate limit of bytes read from the origin; further reads wait; 0: no limit',
  }),
  bytesBurst: sizeField({ min: 0, max: TiB }, 0, {
    live: true,
    what: "bytes that may be read at once after a pause; 0: one second's worth of bytesPerSecond",
  }),
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
