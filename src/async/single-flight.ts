/**
 * Single flight: one call for all callers that ask the same at the same time. The shared call is cancelled when its
 * last waiter leaves.
 */
import type { CancelSignal } from '../base/cancel-signal.ts'
import { abortable } from './abortable.ts'

interface Call<T> {
  readonly promise: Promise<T>
  readonly controller: AbortController
  waiters: number
}

export class SingleFlight<T> {
  readonly #calls = new Map<string, Call<T>>()

  /**
   * Join the call under way for `key`, or start `work`.
   * @throws CacheError aborted when `signal` fires first, or what `work` threw
   */
  async run(key: string, signal: CancelSignal, work: (shared: CancelSignal) => Promise<T>): Promise<T> {
    const call = this.#calls.get(key) ?? this.#start(key, work)
    call.waiters++
    try {
      return await abortable(call.promise, signal)
    } finally {
      call.waiters--
      if (call.waiters === 0 && this.#calls.get(key) === call) {
        this.#calls.delete(key)
        call.controller.abort()
      }
    }
  }

  /** Calls under way. */
  get size(): number {
    return this.#calls.size
  }

  #start(key: string, work: (shared: CancelSignal) => Promise<T>): Call<T> {
    const controller = new AbortController()
    const promise = work(controller.signal).finally(() => {
      if (this.#calls.get(key)?.promise === promise) this.#calls.delete(key)
    })
    const call = { promise, controller, waiters: 0 }
    this.#calls.set(key, call)
    return call
  }
}
