/**
 * Hedge budget: pays second requests to members and early ones to the origin. It starts empty, and each request to a
 * member adds a share: a storm of a healthy group pays for none.
 */
import { hedgeSavedMax } from './limits.ts'

export class HedgeBudget {
  #share: number
  // INVARIANT: 0 <= #saved <= hedgeSavedMax
  #saved = 0
  #paid = 0
  #unpaid = 0

  /** @param share of all requests */
  constructor(share: number) {
    this.#share = share
  }

  /** Second requests that were paid, and those that were not. */
  get counters(): { readonly paid: number; readonly unpaid: number } {
    return { paid: this.#paid, unpaid: this.#unpaid }
  }

  setShare(share: number): void {
    this.#share = share
  }

  /** A request was sent. */
  earn(): void {
    this.#saved = Math.min(hedgeSavedMax, this.#saved + this.#share)
  }

  pay(): boolean {
    if (this.#saved < 1) {
      this.#unpaid++
      return false
    }
    this.#saved--
    this.#paid++
    return true
  }
}
