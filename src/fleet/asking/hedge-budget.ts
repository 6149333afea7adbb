/**
 * Hedge budget: pays second requests to members, or early ones to the origin. It starts empty, and each answer of a
 * member adds a share: a storm of a healthy group pays for few, and refusals pay for none.
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

  /** A member has answered. @param sharers hosts that save for the same: one share is for all of them */
  earn(sharers = 1): void {
    this.#saved = Math.min(hedgeSavedMax, this.#saved + this.#share / Math.max(1, sharers))
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
