/**
 * One request on its way: whom it came from, whether it has been answered, and the signal that ends the work for it.
 */
import type { RequestHeader } from './requests.ts'

export class Call {
  readonly header: RequestHeader
  /** An answer has been sent, or none is wanted any more: whatever comes later is dropped. */
  answered = false
  /** When it began to wait for something below; in milliseconds, never going back. */
  waitsSinceMs = 0
  /** Armed while something below works for it; see `DispatcherOptions.deadlineMs`. */
  deadline: NodeJS.Timeout | undefined
  #controller: AbortController | null = null

  constructor(header: RequestHeader) {
    this.header = header
  }

  /** Fires when nobody wants the answer any more. Made when first asked for: most requests never wait. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort(reason: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }
}
