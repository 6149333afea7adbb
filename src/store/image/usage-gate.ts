/**
 * Usage gate of a stored image: counts operations in progress. Removal closes the gate when the count is 0; later
 * operations are refused.
 */

export class UsageGate {
  #present = 0
  #hasEnded = false

  /** Are new operations refused? */
  get isClosed(): boolean {
    return this.#hasEnded
  }

  /** Do `work`; once attendance has ended, nothing is done and the result is `otherwise`. */
  async enter<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
    if (this.#hasEnded) return otherwise
    this.#present++
    try {
      return await work()
    } finally {
      this.#present--
    }
  }

  /** Refuse operations from now on. @returns false when one is in progress: then nothing has changed */
  closeIfIdle(): boolean {
    if (this.#present === 0) this.#hasEnded = true
    return this.#hasEnded
  }

  /** As if it had never ended. */
  reopen(): void {
    this.#hasEnded = false
  }
}
