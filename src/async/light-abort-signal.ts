/**
 * Light abort signal: a CancelSignal that its owner fires, or another signal does.
 *
 * Each miss needs several. An AbortSignal is an EventTarget, and costs a microsecond and a kilobyte more.
 */
import type { CancelListener, CancelSignal } from '../base/cancel-signal.ts'

/** For listeners that hear of one event: nobody needs an object of their own for that. */
export const once = { once: true } as const

export class LightAbortSignal implements CancelSignal {
  #aborted = false
  #reason: unknown
  readonly #caller: CancelSignal | null
  readonly #reasonOf: ((caller: CancelSignal) => unknown) | null
  /** One is the rule. */
  #listener: CancelListener | null = null
  #others: Set<CancelListener> | null = null

  /**
   * Not AbortSignal.any: what that leaves behind stays for as long as the other signal lives.
   * @param caller fires this one, until {@link end}
   * @param reasonOf what the reason is then; that of the other signal when absent
   */
  constructor(caller: CancelSignal | null = null, reasonOf: ((caller: CancelSignal) => unknown) | null = null) {
    this.#caller = caller
    this.#reasonOf = reasonOf
    if (caller?.aborted) this.handleEvent()
    else caller?.addEventListener('abort', this, once)
  }

  /** Itself, as an AbortController has it. */
  get signal(): CancelSignal {
    return this
  }

  get aborted(): boolean {
    return this.#aborted
  }

  get reason(): unknown {
    return this.#reason
  }

  addEventListener(_type: 'abort', listener: CancelListener): void {
    if (this.#aborted || listener === this.#listener) return
    if (this.#listener === null && this.#others === null) this.#listener = listener
    else (this.#others ??= new Set()).add(listener)
  }

  removeEventListener(_type: 'abort', listener: CancelListener): void {
    if (listener === this.#listener) this.#listener = null
    else this.#others?.delete(listener)
  }

  /** Fire. Idempotent. */
  abort(reason: unknown = new DOMException('This operation was aborted', 'AbortError')): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    const listeners = [this.#listener ?? [], ...(this.#others ?? [])].flat()
    this.#listener = null
    this.#others = null
    if (listeners.length > 0) this.#tell(listeners)
  }

  /** The other signal is listened to no more. To be called when the work is over, however it ended. Idempotent. */
  end(): void {
    this.#caller?.removeEventListener('abort', this)
  }

  /** The other signal has fired: listeners that are objects are called by this name. */
  handleEvent(): void {
    const caller = this.#caller!
    this.abort(this.#reasonOf === null ? caller.reason : this.#reasonOf(caller))
  }

  /** Each hears of it, whatever the others throw: that is for nobody here to handle. */
  #tell(listeners: readonly CancelListener[]): void {
    for (const listener of listeners) {
      try {
        if (typeof listener === 'function') listener()
        else listener.handleEvent()
      } catch (error) {
        process.nextTick(() => {
          throw error
        })
      }
    }
  }
}
