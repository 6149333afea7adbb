/**
 * Lag of the event loop: the lateness of timers. A miss waits for it on top, because its path leads through the main
 * thread.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import { type LatencyCounts, LatencyHistogram } from '../../base/latency-histogram.ts'
import { lagLookMs } from './limits.ts'

export class EventLoopLag {
  readonly #lags = new LatencyHistogram()
  readonly #looks = new PeriodicTask(lagLookMs, () => this.#look())
  #lastMs = performance.now()

  constructor() {
    this.#looks.start()
  }

  get latencies(): LatencyCounts {
    return this.#lags.snapshot()
  }

  /** Idempotent. */
  close(): void {
    this.#looks.stop()
  }

  #look(): void {
    const nowMs = performance.now()
    this.#lags.add(Math.max(0, nowMs - this.#lastMs - lagLookMs))
    this.#lastMs = nowMs
  }
}
