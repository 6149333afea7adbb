/**
 * Next run: a caller joins only a check that starts after the call; at most one runs and one waits.
 */
import { SharedRun } from './shared-run.ts'

export class NextRun<T = void> {
  readonly #check: () => Promise<T>
  readonly #runs = new SharedRun<T>()
  #next: Promise<T> | null = null

  constructor(check: () => Promise<T>) {
    this.#check = check
  }

  /** Settles as a check does that begins now or later. */
  run(): Promise<T> {
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
