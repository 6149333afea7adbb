/**
 * Slices bursts of work over iterations of the event loop, in order: a few milliseconds in each, the first piece at
 * once. Sixty-four readers ask and get their answers together; without slices, all other work would wait for all of
 * them.
 */

/** The time in which pieces are begun in one iteration. */
const sliceMsMax = 2
/** Pieces that are begun in one iteration. */
const slicePiecesMax = 16

export class SlicedQueue {
  readonly #waiting: (() => void)[] = []
  #isUnderWay = false
  /** The time from which no piece begins any more in this iteration; null before its first one. */
  #endMs: number | null = null

  /** Pieces that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Do a piece of work, after those that wait. It must not throw. */
  run(piece: () => void): void {
    if (this.#isUnderWay) {
      this.#waiting.push(piece)
      return
    }
    this.#isUnderWay = true
    setImmediate(this.#prepare)
    piece()
  }

  /**
   * Each piece is an immediate of its own, so that its microtasks are done before the next one begins, and count.
   * Immediates made in one iteration run in the next.
   */
  readonly #prepare = () => {
    this.#endMs = null
    if (this.#waiting.length === 0) {
      this.#isUnderWay = false
      return
    }
    for (let k = Math.min(this.#waiting.length, slicePiecesMax); k > 0; k--) setImmediate(this.#next)
    setImmediate(this.#prepare)
  }

  readonly #next = () => {
    const nowMs = performance.now()
    this.#endMs ??= nowMs + sliceMsMax
    if (nowMs < this.#endMs) this.#waiting.shift()?.()
  }
}
