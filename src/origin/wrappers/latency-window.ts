/**
 * Latency window: the times of the latest calls, in a ring that forgets the oldest.
 */
export class LatencyWindow {
  readonly #size: number
  /** It grows with the first calls: a member of a large group is asked now and then. */
  readonly #ring: number[] = []
  #count = 0
  /** The quantile asked for last, and at which count, so that it is not sorted for at every call. */
  #known = { quantile: Number.NaN, count: 0, ms: 0 }

  /** @param size how many are kept */
  constructor(size: number) {
    this.#size = size
  }

  /** The number of those that are kept now. */
  get size(): number {
    return this.#ring.length
  }

  add(ms: number): void {
    this.#ring[this.#count % this.#size] = ms
    this.#count++
  }

  /** The time that this share (0 to 1) of the latest calls took at most, a few calls old; 0 when there are none. */
  quantile(share: number): number {
    const { quantile, count } = this.#known
    if (quantile !== share || this.#count - count >= this.#size / 16 || count === 0) {
      const sorted = Float64Array.from(this.#ring).sort()
      const ms = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
      this.#known = { quantile: share, count: this.#count, ms }
    }
    return this.#known.ms
  }
}
