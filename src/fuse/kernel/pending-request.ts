/**
 * Pending request: its sender, whether it has been answered, and the signal that ends the work for it.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { RequestHeader } from './requests.ts'
import { threadGroupOf } from './thread-group.ts'

export class PendingRequest {
  readonly header: RequestHeader
  /** The time for which a session thread waited for an origin, in vain. */
  readonly waitedMs: number
  /** An answer has been sent, or none is wanted any more: whatever comes later is dropped. */
  answered = false
  /** The time at which it began to wait for something below; in milliseconds, never going back. */
  waitsSinceMs = 0
  /** Armed while something below works for it; see `DispatcherOptions.deadlineMs`. */
  deadline: NodeJS.Timeout | undefined
  #signal: LightAbortSignal | null = null
  #release: (() => void) | null = null

  constructor(header: RequestHeader, waitedMs = 0) {
    this.header = header
    this.waitedMs = waitedMs
  }

  /** Fires when the answer is not wanted any more. Made when first asked for: most requests never wait. */
  get signal(): CancelSignal {
    this.#signal ??= new LightAbortSignal()
    return this.#signal
  }

  /**
   * The process that waits for the answer; 0 where it cannot be told. Looked up when first asked for: native hits never
   * ask.
   */
  get opener(): number {
    return threadGroupOf(this.header.pid)
  }

  /** Takes what is to be called once the answer has been sent, or is not wanted any more: see {@link release}. */
  readonly lend = (release: () => void): void => {
    this.#release = release
  }

  /** Give back what was lent. Idempotent. */
  release(): void {
    const release = this.#release
    this.#release = null
    release?.()
  }

  abort(reason: Error): void {
    this.#signal ??= new LightAbortSignal()
    this.#signal.abort(reason)
  }
}
