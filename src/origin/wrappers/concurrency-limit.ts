/**
 * Concurrency limit: an Origin that lets a bounded number of calls through at once; the others wait, and their
 * processes take turns. Session threads share the bound. They have what is left of it, up to their share of it, which a
 * call takes back as their reads end; the rest is never theirs.
 */

import { FairQueue, noOwner } from '../../async/fair-queue.ts'
import { once } from '../../async/light-abort-signal.ts'
import { callSafely, onSettled } from '../../async/on-settled.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, CacheError } from '../../base/errors.ts'
import { endingWith } from '../../base/trace.ts'
import type { OriginGrant } from '../../native/origin-reader.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin, type OriginCall, type OriginOperation } from './forwarding-origin.ts'
import { nativeShareOf, originQueueMax } from './limits.ts'

export class ConcurrencyLimitOrigin extends ForwardingOrigin {
  readonly #activeMax: number
  readonly #queueMax: number
  readonly #grant: Pick<OriginGrant, 'limit'> | null
  /** Slots that session threads may have. */
  readonly #nativeMax: number
  // INVARIANT: #active and the reads of session threads are #activeMax at most, and no call waits while #active is 0.
  #active = 0
  readonly #queue = new FairQueue<() => void>()

  /**
   * @param activeMax calls at once
   * @param queueMax calls that may wait; one more is refused
   * @param grant of the session threads that share the bound; null: there are none
   */
  constructor(
    inner: Origin,
    activeMax: number,
    queueMax: number = originQueueMax,
    grant: Pick<OriginGrant, 'limit'> | null = null,
  ) {
    super(inner)
    this.#activeMax = activeMax
    this.#queueMax = queueMax
    this.#grant = grant
    this.#nativeMax = grant ? nativeShareOf(activeMax) : 0
    grant?.limit(this.#nativeMax)
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
    if (this.#queue.size > 0 || !this.#enter())
      return endingWith(
        options.trace?.begin('queue', { 'parentfs.queue': 'requests' }),
        this.#turn(signal, opener),
      ).then(() => onSettled(callSafely(forwarded), this.#next))
    return onSettled(callSafely(forwarded), this.#next)
  }

  /** Take a slot, if there is one. */
  #enter(): boolean {
    const left = this.#activeMax - this.#active - 1
    if (left < 0 || (left < this.#nativeMax && this.#grant!.limit(left) > left)) return false
    this.#active++
    return true
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
    if (!enter) {
      this.#active--
      const left = this.#activeMax - this.#active
      if (left <= this.#nativeMax) this.#grant!.limit(left)
      return
    }
    enter()
    // Reads of session threads may have ended since.
    while (this.#queue.size > 0 && this.#enter()) this.#queue.take()!()
  }
}
