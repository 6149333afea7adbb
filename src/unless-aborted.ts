/** Waiting that ends when the caller loses interest. */
import { CacheError } from './errors.ts'

/**
 * What `promise` resolves to, unless `signal` fires first; the promise itself goes on.
 * @throws CacheError aborted, or what `promise` rejects with
 */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort!: () => void
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new CacheError('aborted', 'the caller has gone', { cause: signal.reason }))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
