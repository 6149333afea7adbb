/**
 * Byte semaphore: a bound on bytes in flight, whose callers wait in line.
 *
 * Owners take turns, each first come, first served. Small requests do not starve a large one, because the one whose
 * turn is next is waited for. A request over the whole budget is granted when it is alone.
 */

import type { CancelSignal } from '../base/cancel-signal.ts'
import { abortedBy } from '../base/errors.ts'
import { FairQueue, noOwner } from './fair-queue.ts'
import { once } from './light-abort-signal.ts'
import { callSafely, onSettled } from './on-settled.ts'

interface Waiter {
  readonly bytes: number
  readonly grant: () => void
}

export class ByteSemaphore {
  #bytesMax: number
  // INVARIANT: nothing is granted that makes usedBytes larger than max(bytesMax, the one request that is alone)
  #usedBytes = 0
  readonly #waiters = new FairQueue<Waiter>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Set another bound; what is held over it is not taken back. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax
    this.#grantNext()
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get waiting(): number {
    return this.#waiters.size
  }

  /**
   * Run `work` while holding `bytes` of the budget.
   * @throws CacheError aborted when `signal` fires before the bytes were granted
   */
  run<T>(bytes: number, signal: CancelSignal, work: () => Promise<T>, owner: number = noOwner): Promise<T> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    const end = () => {
      this.#usedBytes -= bytes
      this.#grantNext()
    }
    const held = () => onSettled(callSafely(work), end)
    if (this.#waiters.size > 0 || !this.#fits(bytes)) return this.#granted(bytes, signal, owner).then(held)
    this.#usedBytes += bytes
    return held()
  }

  #granted(bytes: number, signal: CancelSignal, owner: number): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.leave(owner, waiter)
        this.#grantNext()
        reject(abortedBy(signal))
      }
      const waiter: Waiter = {
        bytes,
        grant: () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      this.#waiters.add(owner, waiter)
      signal.addEventListener('abort', onAbort, once)
    })
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#bytesMax
  }

  #grantNext(): void {
    for (let next = this.#waiters.next; next && this.#fits(next.bytes); next = this.#waiters.next) {
      this.#waiters.take()
      this.#usedBytes += next.bytes
      next.grant()
    }
  }
}
