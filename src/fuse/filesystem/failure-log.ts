/**
 * Logs failed requests: all that an operator needs, and never a flood.
 *
 * A bug gets an error line, a failure of the cache or of an origin a warning. Expected failures (an absent name, a
 * refused write), and those that have one line for all (the origin is away), only show at debug level.
 */
import { isCacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { FsError } from './fs-error.ts'
import { failureLinesPerSecondMax } from './limits.ts'

/** A failed request, for the log. */
export interface FailedRequest {
  /** Name of the operation. */
  readonly opcode: string
  readonly nodeId?: string
  /** The process that asks; `pid` is the daemon's own. */
  readonly readerPid?: number
  /** Below the mountpoint. */
  readonly path?: string
}

export class FailureLog {
  readonly #logger: Logger
  readonly #nowMs: () => number
  #second = 0
  #lines = 0
  #suppressed = 0

  /** @param nowMs a clock that only its differences matter of */
  constructor(logger: Logger, nowMs: () => number) {
    this.#logger = logger
    this.#nowMs = nowMs
  }

  /** Failures that were not logged because there were too many in their second. */
  get suppressed(): number {
    return this.#suppressed
  }

  failed(request: FailedRequest, error: unknown): void {
    const level = levelOf(error)
    if (level !== 'debug' && !this.#mayLog()) return
    this.#logger[level]({ ...request, err: error }, `a request failed: ${messageOf(error)}`)
  }

  #mayLog(): boolean {
    const second = Math.floor(this.#nowMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#lines = 0
    }
    if (this.#lines >= failureLinesPerSecondMax) {
      this.#suppressed++
      return false
    }
    this.#lines++
    return true
  }
}

const quiet = ['not-found', 'access-denied', 'aborted', 'origin-away'] as const

function levelOf(error: unknown): 'debug' | 'warn' | 'error' {
  if (error instanceof FsError) return error.code === 'expired' || error.code === 'malformed' ? 'warn' : 'debug'
  if (isCacheError(error)) return isCacheError(error, ...quiet) ? 'debug' : 'warn'
  return 'error'
}
