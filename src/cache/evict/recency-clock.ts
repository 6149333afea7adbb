/**
 * Recency clock: counts ticks of running, not seconds of the day, so that it never goes back. It goes on from the
 * largest tick that was saved, and hits learn it from the engine.
 */
import { type RunEvery, runEvery } from '../../async/timers.ts'
import { tickMs } from './limits.ts'

export class RecencyClock {
  #tick: number
  readonly #onTick: (tick: number) => void
  /** Idempotent. */
  readonly close: () => void

  /** @param first the first tick; `onTick` hears it and every later one */
  constructor(first: number, onTick: (tick: number) => void, every: RunEvery = runEvery) {
    this.#tick = first
    this.#onTick = onTick
    onTick(first)
    this.close = every(tickMs, () => this.advance())
  }

  get tick(): number {
    return this.#tick
  }

  advanceTo(tick: number): void {
    if (tick <= this.#tick) return
    this.#tick = tick
    this.#onTick(tick)
  }

  advance(): void {
    this.advanceTo(Math.min(this.#tick + 1, 2 ** 32 - 1))
  }
}
