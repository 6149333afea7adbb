/**
 * The pace of work in the background: so many bytes a second on average, and no burst to make up for a pause.
 */
import type { CancelSignal } from '../base/cancel-signal.ts'
import { pause } from './pause.ts'

export class RatePacer {
  #bytesPerSecond: number
  readonly #now: () => number
  readonly #wait: (ms: number, signal: CancelSignal) => Promise<void>
  /** The time from which the next piece of work may begin. */
  #nextMs = 0

  /** @param now milliseconds, never going back */
  constructor(
    bytesPerSecond: number,
    now: () => number,
    wait: (ms: number, signal: CancelSignal) => Promise<void> = pause,
  ) {
    this.#bytesPerSecond = bytesPerSecond
    this.#now = now
    this.#wait = wait
  }

  /** Another pace from now on. */
  set(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond
  }

  /** Account for `bytes` of work that was done, and wait until more may be; ends at once when the signal fires. */
  async spend(bytes: number, signal: CancelSignal): Promise<void> {
    const nowMs = this.#now()
    this.#nextMs = Math.max(this.#nextMs, nowMs) + (bytes / this.#bytesPerSecond) * 1000
    await this.#wait(this.#nextMs - nowMs, signal)
  }
}
