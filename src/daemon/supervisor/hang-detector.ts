/**
 * Hang detector of the serving worker: a heartbeat asks it again and again. One whose event loop has hung is
 * killed, so that another takes its place.
 *
 * The service manager's watchdog is fed here too, while the worker answers or another one is on its way: another
 * supervisor could do no better.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'

export interface HangDetectorContext {
  readonly everyMs: number
  /** The time that a question may stay unanswered. */
  readonly hangMsMax: number
  ask(): void
  /** All is well. */
  alive(): void
  /** The worker has not answered for so long. */
  onHung(): void
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export class HangDetector {
  readonly #parts: HangDetectorContext
  readonly #beats: PeriodicTask
  /** The time at which the worker was asked; null when it has answered since. One question at a time. */
  #askedMs: number | null = null
  #isServing = false

  constructor(parts: HangDetectorContext) {
    this.#parts = parts
    this.#beats = new PeriodicTask(parts.everyMs, () => this.beat())
  }

  /** From now on there is a worker to be asked. */
  serving(): void {
    this.#isServing = true
    this.#begin()
  }

  /** From now on there is none, and another one is on its way. */
  changing(): void {
    this.#isServing = false
    this.#begin()
  }

  /** The worker has answered. */
  answered(): void {
    if (this.#askedMs === null) return
    this.#askedMs = null
    this.#parts.alive()
  }

  beat(): void {
    const { ask, alive, onHung, now, hangMsMax } = this.#parts
    if (!this.#isServing) alive()
    else if (this.#askedMs === null) {
      this.#askedMs = now()
      ask()
    } else if (now() - this.#askedMs > hangMsMax) onHung()
  }

  #begin(): void {
    this.#askedMs = null
    this.#beats.start()
  }

  close(): void {
    this.#beats.stop()
  }
}
