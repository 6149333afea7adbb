/**
 * Next run: a caller joins only a check that starts after the call; at most one runs and one waits.
 */
import { SharedRun } from './shared-run.ts'

export class NextRun {
  readonly #check: () => Promise<void>
  readonly #runs = new SharedRun()
  #next: Promise<void> | null = null

  constructor(check: () => Promise<void>) {
    this.#check = check
  }

  /** Settles as a check does that begins now or later. */
  run(): Promise<void> {
    if (this.#runs.current === null) return this.#runs.run(this.#check)
    this.#next ??= this.#runs.current
      .catch(() => {}) // Waiters for that one see its error.
      .then(() => {
        this.#next = null
        return this.#runs.run(this.#check)
      })
    return this.#next
  }
}
