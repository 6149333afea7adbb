/**
 * A bound on bytes in flight: whoever wants to hold some asks first and waits in line.
 *
 * First come, first served, so that a large request is not starved by small ones. A request over the whole budget is
 * granted when it is alone.
 */
import { throwIfAborted } from './errors.ts'

interface Waiter {
  readonly bytes: number
  readonly grant: () => void
}

export class ByteBudget {
  #bytesMax: number
  // INVARIANT: nothing is granted that makes usedBytes larger than max(bytesMax, the one request that is alone)
  #usedBytes = 0
  readonly #waiters: Waiter[] = []

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
    return this.#waiters.length
  }

  /**
   * Run `work` while holding `bytes` of the budget.
   * @throws CacheError aborted when `signal` fires before the bytes were granted
   */
  async run<T>(bytes: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#acquire(bytes, signal)
    try {
      return await work()
    } finally {
      this.#usedBytes -= bytes
      this.#grantNext()
    }
  }

  async #acquire(bytes: number, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    if (this.#waiters.length === 0 && this.#fits(bytes)) {
      this.#usedBytes += bytes
      return
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        this.#grantNext()
        reject(signal.reason)
      }
      const waiter: Waiter = {
        bytes,
        grant: () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      this.#waiters.push(waiter)
      signal.addEventListener('abort', onAbort, { once: true })
    }).catch(() => throwIfAborted(signal))
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#bytesMax
  }

  #grantNext(): void {
    for (let next = this.#waiters[0]; next && this.#fits(next.bytes); next = this.#waiters[0]) {
      this.#waiters.shift()
      this.#usedBytes += next.bytes
      next.grant()
    }
  }
}
