/**
 * An Origin that lets a bounded number of calls through at once; the others wait, and the processes that they are for take turns.
 */

import { FairQueue, noOwner } from '../../async/fair-queue.ts'
import { once } from '../../async/light-abort-signal.ts'
import { callSafely, onSettled } from '../../async/on-settled.ts'
import { abortedBy, CacheError } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import type { Digest } from '../contract/digest.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import { originQueueMax } from './limits.ts'

export class ConcurrencyLimitOrigin implements Origin {
  readonly url: string
  readonly #inner: Origin
  readonly #activeMax: number
  readonly #queueMax: number
  // INVARIANT: #active <= #activeMax, and nobody waits while it is less.
  #active = 0
  readonly #queue = new FairQueue<() => void>()

  /**
   * @param activeMax calls at once
   * @param queueMax calls that may wait; one more is refused
   */
  constructor(inner: Origin, activeMax: number, queueMax: number = originQueueMax) {
    this.url = inner.url
    this.#inner = inner
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

  list(options: ReadOptions): Promise<readonly string[] | null> {
    return this.#inTurn(() => this.#inner.list(options), options)
  }

  lookup(key: string, options: ReadOptions): Promise<ImageFacts> {
    return this.#inTurn(() => this.#inner.lookup(key, options), options)
  }

  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    return this.#inTurn(() => this.#inner.read(image, offset, target, options), options)
  }

  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.#inTurn(() => this.#inner.extentAt(image, offset, options), options)
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.#inTurn(() => this.#inner.digest(image, options), options)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #inTurn<T>(call: () => Promise<T>, { signal, opener = noOwner }: ReadOptions): Promise<T> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    if (this.#active >= this.#activeMax)
      return this.#turn(signal, opener).then(() => onSettled(callSafely(call), this.#next))
    this.#active++
    return onSettled(callSafely(call), this.#next)
  }

  /** Wait for a place; whoever leaves one hands it over, so that #active does not change. */
  #turn(signal: AbortSignal, opener: number): Promise<void> {
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
