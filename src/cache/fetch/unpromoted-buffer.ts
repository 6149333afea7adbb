/**
 * What the store did not take stays in memory for a while: for those who come back for more of it, or were yet to come.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import { lingeringMsMax } from './limits.ts'

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
  readonly #parked = new Map<UnpromotedBytes, number>()
  // INVARIANT: usedBytes <= bytesMax after each change, or one is parked.
  #usedBytes = 0
  readonly #sweeps = new PeriodicTask(lingeringMsMax / 4, () => this.sweep())
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
    return this.#parked.size
  }

  add(parked: UnpromotedBytes): void {
    if (this.#closed) {
      parked.leave()
      return
    }
    this.#parked.set(parked, this.#now())
    this.#usedBytes += parked.bytes
    for (const oldest of this.#parked.keys()) {
      if (this.#usedBytes <= this.#bytesMax || oldest === parked) break
      this.drop(oldest)
    }
    this.#sweeps.start()
  }

  /** Let it leave. Nothing happens when it has left. */
  drop(parked: UnpromotedBytes): void {
    if (this.take(parked)) parked.leave()
  }

  /** It goes back to who has parked it, who does not hear of it. @returns false when it has left */
  take(parked: UnpromotedBytes): boolean {
    if (!this.#parked.delete(parked)) return false
    this.#usedBytes -= parked.bytes
    if (this.#parked.size === 0) this.#sweeps.stop()
    return true
  }

  /** Let those leave that have waited too long. */
  sweep(): void {
    const nowMs = this.#now()
    for (const [parked, sinceMs] of this.#parked) {
      if (nowMs - sinceMs < lingeringMsMax) return
      this.drop(parked)
    }
  }

  /** Let all leave, also those that come later. Idempotent. */
  close(): void {
    this.#closed = true
    for (const parked of this.#parked.keys()) this.drop(parked)
  }
}
