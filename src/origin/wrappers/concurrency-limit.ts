/**
 * Concurrency limit: an Origin that lets a bounded number of calls through at once; the others wait, and their
 * processes take turns.
 */

import { FairQueue, noOwner } from '../../async/fair-queue.ts'
import { once } from '../../async/light-abort-signal.ts'
import { callSafely, onSettled } from '../../async/on-settled.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, CacheError } from '../../base/errors.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin, type OriginCall, type OriginOperation } from './forwarding-origin.ts'
import { originQueueMax } from './limits.ts'

export class ConcurrencyLimitOrigin extends ForwardingOrigin {
  readonly #activeMax: number
  readonly #queueMax: number
  // INVARIANT: #active <= #activeMax, and no call waits while it is less.
  #active = 0
  readonly #queue = new FairQueue<() => void>()

  /**
   * @param activeMax calls at once
   * @param queueMax calls that may wait; one more is refused
   */
  constructor(inner: Origin, activeMax: number, queueMax: number = originQueueMax) {
    super(inner)
    this.#activeMax = activeMax
    this.#queueMax = queueMax
  }

  /** Calls let through, and calls that wait. */
  get load(): { readonly active: number; readonly waiting: number } {
    return { active: this.#active, waiting: this.#queue.size }
  }

  get isIdle(): boolean {
    return this.#active === 0 && this.#queue.size === 0
  }

  protected override forward<T>(_: OriginOperation, call: OriginCall<T>, options: ReadOptions): Promise<T> {
    const { signal, opener = noOwner } = options
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    const forwarded = () => call(this.inner, options)
    if (this.#active >= this.#activeMax)
      return this.#turn(signal, opener).then(() => onSettled(callSafely(forwarded), this.#next))
    this.#active++
    return onSettled(callSafely(forwarded), this.#next)
  }

  /** Wait for a slot; a leaving call hands its slot over, so that #active does not change. */
  #turn(signal: CancelSignal, opener: number): Promise<void> {
    if (this.#queue.size >= this.#queueMax) {
      const error = new CacheError('overloaded', `${this.url}: ${this.#queueMax} requests wait already`)
      return Promise.reject(error)
    }
    return new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#queue.leave(opener, enter)
        reject(abortedBy(signal))
      }
      this.#queue.add(opener, enter)
      signal.addEventListener('abort', leave, once)
    })
  }

  readonly #next = (): void => {
    const enter = this.#queue.take()
    if (enter) enter()
    else this.#active--
  }
}
