/**
 * Signals of one's own, which may fire with another one too.
 *
 * They are AbortSignals to whoever gets one, and cost a small part of those: each miss needs several, and an
 * EventTarget is a microsecond and a kilobyte. What only Node's own can do (AbortSignal.any, events other than `abort`)
 * they do not.
 */

type Listener = Parameters<AbortSignal['addEventListener']>[1]

/** For listeners that hear of one event: nobody needs an object of their own for that. */
export const once = { once: true } as const

export class LightAbortSignal implements AbortSignal {
  #aborted = false
  #reason: unknown
  readonly #caller: AbortSignal | null
  readonly #reasonOf: ((caller: AbortSignal) => unknown) | null
  /** One is the rule. */
  #listener: Listener | null = null
  #others: Set<Listener> | null = null

  /**
   * Not AbortSignal.any: what that leaves behind stays for as long as the other signal lives.
   * @param caller fires this one, until {@link end}
   * @param reasonOf what the reason is then; that of the other signal when absent
   */
  constructor(caller: AbortSignal | null = null, reasonOf: ((caller: AbortSignal) => unknown) | null = null) {
    this.#caller = caller
    this.#reasonOf = reasonOf
    if (caller?.aborted) this.handleEvent()
    else caller?.addEventListener('abort', this, once)
  }

  /** Itself, as an AbortController has it. */
  get signal(): AbortSignal {
    return this
  }

  get onabort(): null {
    return null
  }

  get aborted(): boolean {
    return this.#aborted
  }

  get reason(): unknown {
    return this.#reason
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason
  }

  addEventListener(type: string, listener: Listener | null): void {
    if (type !== 'abort' || listener === null || this.#aborted || listener === this.#listener) return
    if (this.#listener === null && this.#others === null) this.#listener = listener
    else (this.#others ??= new Set()).add(listener)
  }

  removeEventListener(_type: string, listener: Listener | null): void {
    if (listener === this.#listener) this.#listener = null
    else if (listener !== null) this.#others?.delete(listener)
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

  dispatchEvent(): boolean {
    throw new Error('a signal of this kind only fires')
  }

  /** Each hears of it, whatever the others throw: that is for nobody here to handle. */
  #tell(listeners: readonly Listener[]): void {
    const event = new Event('abort')
    for (const listener of listeners) {
      try {
        if (typeof listener === 'function') listener.call(this, event)
        else listener.handleEvent(event)
      } catch (error) {
        process.nextTick(() => {
          throw error
        })
      }
    }
  }
}

/** A signal that fires with another one too. */
export function abortingWith(caller: AbortSignal): LightAbortSignal {
  return new LightAbortSignal(caller)
}
