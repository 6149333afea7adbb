/**
 * Miss time-out: the time that a reader waits for bytes of the origin.
 *
 * Each reader has its own time, whichever reader began the fetch: a fetch that ran out of the time of an earlier
 * reader, or was refused to another host, is begun again. When the time is over the read fails, or goes on for as long
 * as the origin is away, for guests that would rather hang than fail. An origin that is back is given the same time
 * again.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { CircuitState } from '../../origin/wrappers/circuit-state.ts'
import { retryMsMin } from '../../origin/wrappers/limits.ts'
import { missShareMin } from './limits.ts'

/** The fate of a miss when its time is over and the origin is away. */
export type OnOutage = 'fail' | 'wait'

export interface MissTimeoutOptions {
  readonly missMs: number
  readonly onOutage: OnOutage
  readonly availability: Pick<CircuitState, 'state' | 'ageMs' | 'error'>
}

export interface MissTimeoutReader {
  /** Another host: it hears at once that this one is overloaded, or cut off as it is. */
  readonly isForOthers?: boolean | undefined
  /** The time that it has waited for the origin already. */
  readonly waitedMs?: number | undefined
}

export class MissTimeout {
  readonly #options: MissTimeoutOptions

  constructor(options: MissTimeoutOptions) {
    this.#options = options
  }

  /**
   * Do `work`, again where it fails before the time is over in a way that only concerns the reader that began it.
   * @throws CacheError origin-away, origin-timeout, and what `work` throws
   */
  async run<T>(
    signal: CancelSignal,
    work: (signal: CancelSignal) => Promise<T>,
    { isForOthers = false, waitedMs = 0 }: MissTimeoutReader = {},
  ): Promise<T> {
    const { missMs } = this.#options
    const own = new LightAbortSignal(signal)
    const ownMs = Math.max(missMs - waitedMs, missMs * missShareMin)
    const endMs = performance.now() + ownMs
    let isLate = false
    let timer: NodeJS.Timeout | undefined
    const look = () => {
      const ms = this.#msLeft()
      if (ms > 0) timer = setTimeout(look, ms)
      else {
        isLate = true
        own.abort()
      }
    }
    timer = setTimeout(look, ownMs)
    try {
      for (;;) {
        try {
          return await work(own)
        } catch (error) {
          const isAnothers = isCacheError(error, 'origin-away', 'origin-timeout')
          const isRefused = !isForOthers && isCacheError(error, 'overloaded')
          if (!(isAnothers || isRefused) || (performance.now() >= endMs && this.#msLeft() <= 0)) throw error
        }
        await pause(retryMsMin, own)
        throwIfAborted(own)
      }
    } catch (error) {
      if (isLate && !signal.aborted && isCacheError(error, 'aborted')) throw this.#lateError(error)
      throw error
    } finally {
      clearTimeout(timer)
      own.end()
    }
  }

  /** The time that a reader still waits whose own time is over. */
  #msLeft(): number {
    const { missMs, onOutage, availability } = this.#options
    if (onOutage === 'fail') return 0
    return availability.state === 'available' ? missMs - availability.ageMs : missMs
  }

  #lateError(cause: CacheError): CacheError {
    const { missMs, availability } = this.#options
    if (availability.state !== 'available') return availability.error()
    return new CacheError('origin-timeout', `the origin did not bring the bytes in ${missMs} ms`, { cause })
  }
}
