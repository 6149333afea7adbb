/**
 * Throttles of an origin of any kind: requests, bytes a second, bursts.
 */
import type { ThrottleOptions } from '../../origin/wrappers/throttle.ts'
import { countField, rateField, sizeField } from './setting-fields.ts'

const TiB = 1024 ** 4

/** Fields of a throttle with these words; all of it is live, and 0 is no limit. */
export function throttleShape(what: Readonly<Record<'reads' | 'readsBurst' | 'bytes' | 'bytesBurst', string>>) {
  return {
    readsPerSecond: countField({ min: 0, max: 1_000_000 }, 0, { live: true, what: what.reads }),
    readsBurst: countField({ min: 0, max: 1_000_000 }, 0, { live: true, what: what.readsBurst }),
    bytesPerSecond: rateField({ min: 0, max: TiB }, 0, { live: true, what: what.bytes }),
    bytesBurst: sizeField({ min: 0, max: TiB }, 0, { live: true, what: what.bytesBurst }),
  }
}

export const throttleFields = throttleShape({
  reads: 'rate limit of reads of the origin; further reads wait; 0: no limit',
  readsBurst: "reads that may go at once after a pause; 0: one second's worth of readsPerSecond",
  bytes: 'rate limit of bytes read from the origin; further reads wait; 0: no limit',
  bytesBurst: "bytes that may be read at once after a pause; 0: one second's worth of bytesPerSecond",
})

type ThrottleSettings = { readonly [name in keyof typeof throttleFields]: number }

/** The same, as src/origin/wrappers/throttle.ts wants it. */
export function throttleOptionsOf(settings: ThrottleSettings): ThrottleOptions {
  const { readsPerSecond, readsBurst, bytesPerSecond, bytesBurst } = settings
  return {
    reads: { perSecond: readsPerSecond, burst: readsBurst },
    bytes: { perSecond: bytesPerSecond, burst: bytesBurst },
  }
}
