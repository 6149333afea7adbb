/**
 * Periodic task: does its work every so many milliseconds, between `start` and `stop`. While a run has not settled no
 * other one begins: the turns that fall into it are left out.
 */
import { type RunEvery, runEvery } from './timers.ts'

export class PeriodicTask {
  readonly #everyMs: number
  readonly #work: () => unknown
  readonly #every: RunEvery
  #cancel: (() => void) | null = null
  #isBusy = false

  /** @param work may return a promise; must not throw or reject: that is a bug, and ends the process */
  constructor(everyMs: number, work: () => unknown, every: RunEvery = runEvery) {
    this.#everyMs = everyMs
    this.#work = work
    this.#every = every
  }

  get isStarted(): boolean {
    return this.#cancel !== null
  }

  /** The first run comes after the first period. Idempotent. */
  start(): void {
    this.#cancel ??= this.#every(this.#everyMs, () => this.#run())
  }

  /** A run under way is left to end. Idempotent; it may be started again. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  #run(): void {
    if (this.#isBusy) return
    const working = this.#work()
    if (!(working instanceof Promise)) return
    this.#isBusy = true
    void working.finally(() => {
      this.#isBusy = false
    })
  }
}
