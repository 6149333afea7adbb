/**
 * Pending requests of fuse-native: each is answered exactly once, with a value or an errno, whatever happens below.
 *
 * An unanswered request holds a native thread. A second answer lets a later request go on with unfilled memory. Results
 * that come after the answer are dropped, and undone.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { Logger } from '../../base/logger.ts'
import type { BackendOptions } from '../filesystem/backend.ts'
import { errnoOf } from '../filesystem/errno.ts'
import { FailureLog } from '../filesystem/failure-log.ts'
import { FsError } from '../filesystem/fs-error.ts'

export interface PendingRequestsOptions {
  readonly logger: Logger
  readonly nowMs: () => number
}

/** One request. */
export interface Work<T> {
  readonly operation: string
  readonly path: string
  /** The time for which it may wait; null for ever. */
  readonly deadlineMs: number | null
  readonly run: (options: BackendOptions) => Promise<T> | T
  readonly answer: (value: T) => void
  /** @param result an errno below zero */
  readonly refuse: (result: number) => void
  /** Takes back what `run` did, when its answer came too late. */
  readonly undo?: (value: T) => void
}

/** Counters since the start, but `inFlight`: how many there are now. */
export interface PendingRequestsGauges {
  readonly inFlight: number
  /** Requests that were answered with an errno, whatever the reason; `expired` is among them. */
  readonly failed: number
  readonly expired: number
  readonly failuresNotLogged: number
}

export class PendingRequests {
  readonly #log: FailureLog
  /** The ends of waiting requests. */
  readonly #waiting = new Set<(refusal: FsError) => void>()
  #failed = 0
  #expired = 0
  #stopped = false

  constructor(options: PendingRequestsOptions) {
    this.#log = new FailureLog(options.logger, options.nowMs)
  }

  /** Do the work, and answer. Never throws. */
  accept<T>(work: Work<T>): void {
    if (this.#stopped) {
      this.#refuse(work, stopped())
      return
    }
    const controller = new LightAbortSignal()
    try {
      const value = work.run(controller)
      if (value instanceof Promise) this.#wait(work, value, controller)
      else work.answer(value)
    } catch (error) {
      this.#refuse(work, error)
    }
  }

  gauges(): PendingRequestsGauges {
    const [inFlight, failed, expired] = [this.#waiting.size, this.#failed, this.#expired]
    return { inFlight, failed, expired, failuresNotLogged: this.#log.suppressed }
  }

  /** Refuse what waits and whatever comes: the native threads end only when they have an answer. */
  stop(): void {
    this.#stopped = true
    for (const end of this.#waiting) end(stopped())
  }

  #wait<T>(work: Work<T>, value: Promise<T>, controller: LightAbortSignal): void {
    const settle = () => {
      clearTimeout(deadline)
      return this.#waiting.delete(end)
    }
    const end = (refusal: FsError) => {
      if (!settle()) return
      this.#refuse(work, refusal)
      controller.abort(refusal)
    }
    const { deadlineMs } = work
    const expire = () => {
      this.#expired++
      end(new FsError('expired', `no answer in ${deadlineMs} ms`))
    }
    const deadline = deadlineMs === null ? undefined : setTimeout(expire, deadlineMs)
    this.#waiting.add(end)
    value.then(
      done => (settle() ? work.answer(done) : work.undo?.(done)),
      error => settle() && this.#refuse(work, error),
    )
  }

  #refuse<T>({ operation, path, refuse }: Work<T>, error: unknown): void {
    this.#failed++
    this.#log.failed({ opcode: operation, path }, error)
    refuse(-errnoOf(error))
  }
}

function stopped(): FsError {
  return new FsError('expired', 'the filesystem has stopped')
}
