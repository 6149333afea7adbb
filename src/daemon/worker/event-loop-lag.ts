/**
 * Lag of the event loop: the lateness of timers. A miss waits for it on top, because its path leads through the main
 * thread.
 */
import { type LatencyCounts, LatencyHistogram } from '../../base/latency-histogram.ts'
import { lagLookMs } from './limits.ts'

export class EventLoopLag {
  readonly #lags = new LatencyHistogram()
  readonly #timer: NodeJS.Timeout
  #lastMs = performance.now()

  constructor() {
    this.#timer = setInterval(() => this.#look(), lagLookMs)
    this.#timer.unref()
  }

  get latencies(): LatencyCounts {
    return this.#lags.snapshot()
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const nowMs = performance.now()
    this.#lags.add(Math.max(0, nowMs - this.#lastMs - lagLookMs))
    this.#lastMs = nowMs
  }
}
