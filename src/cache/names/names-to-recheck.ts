/**
 * Names to recheck: the origin is to be asked for them. They went from a listing, and are not believed to be gone
 * yet; or a member of the group has told their version while the origin was away. An origin that does not answer is
 * left in peace for a while, and denies nothing.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import { doubtfulMsMax } from './limits.ts'

export interface NamesToRecheckContext {
  /** @throws CacheError as Catalog.lookup */
  ask(origin: Origin, name: string, signal: CancelSignal): Promise<unknown>
  freshMs(origin: Origin): number
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export class NamesToRecheck {
  readonly #parts: NamesToRecheckContext
  readonly #names = new Map<string, { readonly origin: Origin; readonly name: string }>()
  #askAgainMs = 0

  constructor(parts: NamesToRecheckContext) {
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
          this.#askAgainMs = now() + Math.min(doubtfulMsMax, freshMs(origin))
          return
        }
      }
      this.#names.delete(key)
    }
  }
}

const keyOf = ({ url }: Pick<Origin, 'url'>, name: string) => `${url} ${name}`
