/**
 * Reads of session threads, counted where those of TypeScript are.
 */
import type { ReaderTable } from './contract/native-read-sources.ts'
import type { Origin } from './contract/origin.ts'
import type { CircuitState } from './wrappers/circuit-state.ts'
import { HedgeOrigin } from './wrappers/hedge.ts'
import type { Meter } from './wrappers/meter.ts'
import type { ThrottleOrigin } from './wrappers/throttle.ts'

interface Counting {
  readonly meter: Meter
  readonly availability: CircuitState
  readonly throttle: ThrottleOrigin | null
  readonly inner: Origin
}

/** Have reads of session threads counted where those of TypeScript are. */
export function countNativeReads(readers: ReaderTable, { meter, availability, throttle, inner }: Counting): void {
  const count = (key: string | null, bytes: number, ms: number, error: 'aborted' | null) => {
    meter.begin()
    meter.end({ operation: 'read', key, bytes, ms, error, reason: '' })
  }
  readers.onAnswered = ({ key }, bytes, ms) => {
    count(key, bytes, ms, null)
    availability.enterAtOnce()?.answered()
    if (inner instanceof HedgeOrigin) inner.answered(bytes, ms)
    throttle?.ration()
  }
  // TypeScript asks again, and judges: of these it is known only that they were sent.
  readers.onFailed = failed => {
    for (let k = 0; k < failed; k++) count(null, 0, 0, 'aborted')
  }
}
