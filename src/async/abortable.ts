/** Waiting that ends when the caller has gone. */

import type { CancelSignal } from '../base/cancel-signal.ts'
import { abortedBy } from '../base/errors.ts'
import { once } from './light-abort-signal.ts'

/**
 * Abortable wait: settles as `work` does, or rejects as soon as `signal` fires, whichever comes first; a caller that
 * has left already gets `aborted` even from work that is done. The work itself is not stopped: it must not touch
 * anything of the caller's any more, and its late error is swallowed.
 * @throws CacheError aborted, or the error of `work`
 */
export function abortable<T>(work: Promise<T>, signal: CancelSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const leave = () => reject(abortedBy(signal))
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, once)
    work.then(
      value => {
        signal.removeEventListener('abort', leave)
        resolve(value)
      },
      error => {
        signal.removeEventListener('abort', leave)
        reject(error)
      },
    )
  })
}
