/** Waiting for a time. */
import { once } from './light-abort-signal.ts'

/** Resolves after `ms`, or as soon as `signal` fires: a caller who must not go on then asks the signal. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
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
