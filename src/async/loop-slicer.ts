/**
 * Work that comes in bursts, done in order: the first piece at once, the others in this turn of the event loop and the next ones, a few
 * milliseconds in each. Sixty-four readers ask and get their answers together; without this, whatever else waits would wait for all of
 * them.
 */

/** How long pieces are begun in one turn. */
const turnMsMax = 2
/** How many are begun in one turn. */
const turnPiecesMax = 16

export class SlicedQueue {
  readonly #waiting: (() => void)[] = []
  #isUnderWay = false
  /** When no piece begins any more in this turn; null before its first one. */
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
   * Each piece is an immediate of its own, so that what follows from it in microtasks is done before the next one begins, and counts. Those
   * that are made in one turn have the next one.
   */
  readonly #prepare = () => {
    this.#endMs = null
    if (this.#waiting.length === 0) {
      this.#isUnderWay = false
      return
    }
    for (let k = Math.min(this.#waiting.length, turnPiecesMax); k > 0; k--) setImmediate(this.#next)
    setImmediate(this.#prepare)
  }

  readonly #next = () => {
    const nowMs = performance.now()
    this.#endMs ??= nowMs + turnMsMax
    if (nowMs < this.#endMs) this.#waiting.shift()?.()
  }
}
