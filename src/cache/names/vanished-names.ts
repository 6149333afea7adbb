/**
 * Vanished names: names that went from a listing, each to be asked for before it is believed to be gone. An origin that
 * is away is left in peace for a while, and denies nothing.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import type { Origin } from '../../origin/contract/origin.ts'

export interface VanishedNamesContext {
  /** @throws CacheError as Catalog.lookup */
  ask(origin: Origin, name: string, signal: CancelSignal): Promise<unknown>
  freshMs(origin: Origin): number
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export class VanishedNames {
  readonly #parts: VanishedNamesContext
  readonly #names = new Map<string, { readonly origin: Origin; readonly name: string }>()
  #askAgainMs = 0

  constructor(parts: VanishedNamesContext) {
    this.#parts = parts
  }

  add(origin: Origin, name: string): void {
    this.#names.set(keyOf(origin, name), { origin, name })
  }

  /** It need not be asked for any more. */
  drop(origin: Pick<Origin, 'url'>, name: string): void {
    this.#names.delete(keyOf(origin, name))
  }

  /** Ask for all of them, unless it is too early. Never rejects. */
  async ask(signal: CancelSignal): Promise<void> {
    const { ask, freshMs, now } = this.#parts
    if (now() < this.#askAgainMs) return
    for (const [key, { origin, name }] of [...this.#names]) {
      if (signal.aborted) return
      try {
        await ask(origin, name, signal)
      } catch (error) {
        // Whatever else it says is an answer, and another one comes with the next lookup.
        if (isCacheError(error, 'aborted', 'origin-away', 'origin-unreachable', 'origin-timeout', 'origin-failed')) {
          this.#askAgainMs = now() + freshMs(origin)
          return
        }
      }
      this.#names.delete(key)
    }
  }
}

const keyOf = ({ url }: Pick<Origin, 'url'>, name: string) => `${url} ${name}`
