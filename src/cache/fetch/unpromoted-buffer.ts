/**
 * Unpromoted buffer: keeps bytes that the store did not take in memory for a while, for readers that come back or were
 * yet to come.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import { unpromotedMsMax } from './limits.ts'

/** One block, or some, in memory. */
export interface UnpromotedBytes {
  readonly bytes: number
  /** Its bytes are forgotten. */
  leave(): void
}

export class UnpromotedBuffer {
  readonly #bytesMax: number
  readonly #now: () => number
  /** By when they came. */
  readonly #retained = new Map<UnpromotedBytes, number>()
  // INVARIANT: usedBytes <= bytesMax after each change, or one is parked.
  #usedBytes = 0
  readonly #sweeps = new PeriodicTask(unpromotedMsMax / 4, () => this.sweep())
  #closed = false

  /** @param now milliseconds, never going back */
  constructor(bytesMax: number, now: () => number) {
    this.#bytesMax = bytesMax
    this.#now = now
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get size(): number {
    return this.#retained.size
  }

  add(retained: UnpromotedBytes): void {
    if (this.#closed) {
      retained.leave()
      return
    }
    this.#retained.set(retained, this.#now())
    this.#usedBytes += retained.bytes
    for (const oldest of this.#retained.keys()) {
      if (this.#usedBytes <= this.#bytesMax || oldest === retained) break
      this.drop(oldest)
    }
    this.#sweeps.start()
  }

  /** Let it leave. Nothing happens when it has left. */
  drop(retained: UnpromotedBytes): void {
    if (this.take(retained)) retained.leave()
  }

  /** It goes back to its owner, without a call of `leave`. @returns false when it has left */
  take(retained: UnpromotedBytes): boolean {
    if (!this.#retained.delete(retained)) return false
    this.#usedBytes -= retained.bytes
    if (this.#retained.size === 0) this.#sweeps.stop()
    return true
  }

  /** Let those leave that have waited too long. */
  sweep(): void {
    const nowMs = this.#now()
    for (const [retained, sinceMs] of this.#retained) {
      if (nowMs - sinceMs < unpromotedMsMax) return
      this.drop(retained)
    }
  }

  /** Let all leave, also those that come later. Idempotent. */
  close(): void {
    this.#closed = true
    for (const retained of this.#retained.keys()) this.drop(retained)
  }
}
