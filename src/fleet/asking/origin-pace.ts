/**
 * Origin pace: the time that reads of the origin take, from those that this host makes by itself.
 */
import { LatencyWindow } from '../../origin/wrappers/latency-window.ts'
import { samplesMax, samplesMin } from './limits.ts'

/** The time of an origin that is not known yet. */
const unknownMs = 100

/** Reads up to this length are short ones, which have their own times. */
const shortBytes = 256 * 1024

export class OriginPace {
  readonly #short = new LatencyWindow(samplesMax)
  readonly #long = new LatencyWindow(samplesMax)

  answered(bytes: number, ms: number): void {
    this.#windowOf(bytes).add(ms)
  }

  /** The median of reads of such a length; null: too few are known. */
  knownMs(bytes: number): number | null {
    const window = this.#windowOf(bytes)
    return window.size < samplesMin ? null : window.quantile(0.5)
  }

  predictedMs(bytes: number): number {
    return this.knownMs(bytes) ?? unknownMs
  }

  #windowOf(bytes: number): LatencyWindow {
    return bytes <= shortBytes ? this.#short : this.#long
  }
}
