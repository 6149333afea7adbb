/**
 * Who works on an image in the store now, so that it is retired only when nobody does; who comes later is sent away.
 */

export class UsageGate {
  #present = 0
  #hasEnded = false

  /** Does nobody come in any more? */
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

  /** Let nobody in from now on. @returns false when somebody is there: then nothing has changed */
  closeIfIdle(): boolean {
    if (this.#present === 0) this.#hasEnded = true
    return this.#hasEnded
  }

  /** As if it had never ended. */
  reopen(): void {
    this.#hasEnded = false
  }
}
