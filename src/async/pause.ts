/** Pause: ends after its time, or early with a signal. */
import type { CancelSignal } from '../base/cancel-signal.ts'
import { once } from './light-abort-signal.ts'

/** Resolves after `ms`, or as soon as `signal` fires: a caller who must not go on then asks the signal. */
export function pause(ms: number, signal?: CancelSignal): Promise<void> {
  if (ms <= 0 || signal?.aborted) return Promise.resolve()
  return new Promise(resolve => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal?.addEventListener('abort', end, once)
  })
}
