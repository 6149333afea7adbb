/**
 * Coalesces re-checks. A caller joins only a check that starts after its call; at most one runs and one waits.
 */
export class CoalescedCheck {
  readonly #check: () => Promise<void>
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  constructor(check: () => Promise<void>) {
    this.#check = check
  }

  /** Settles as a check does that begins now or later. */
  run(): Promise<void> {
    if (this.#running === null) return this.#begin()
    this.#next ??= this.#running
      .catch(() => {}) // Waiters for that one see its error.
      .then(() => {
        this.#next = null
        return this.#begin()
      })
    return this.#next
  }

  #begin(): Promise<void> {
    const running = this.#check().finally(() => {
      if (this.#running === running) this.#running = null
    })
    this.#running = running
    return running
  }
}
