/**
 * Replaceable origin: it can be exchanged for another one of the same URL while it is in use. So other limits,
 * deadlines and credentials come into effect without a remount.
 *
 * Calls that are under way end with the origin that they began with, which is closed after the last of them.
 */

import { callSafely, onSettled } from '../../async/on-settled.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin, type OriginCall, type OriginOperation } from './forwarding-origin.ts'

export class ReplaceableOrigin extends ForwardingOrigin {
  /** Calls under way at each origin that is open: the one of now, and those that end their last calls. */
  readonly #calls: Map<Origin, number>

  constructor(origin: Origin) {
    super(origin)
    this.#calls = new Map([[origin, 0]])
  }

  /** Origins that are open. */
  get count(): number {
    return this.#calls.size
  }

  /** Use `next` from now on. */
  replace(next: Origin): void {
    if (next.url !== this.url) throw new Error(`${next.url} is not ${this.url}`)
    const before = this.inner
    this.inner = next
    this.#calls.set(next, 0)
    this.#closeUnused(before)
  }

  override async close(): Promise<void> {
    await Promise.all([...this.#calls.keys()].map(origin => origin.close()))
  }

  protected override forward<T>(_: OriginOperation, call: OriginCall<T>, options: ReadOptions): Promise<T> {
    const origin = this.inner
    this.#calls.set(origin, this.#calls.get(origin)! + 1)
    const end = () => {
      this.#calls.set(origin, this.#calls.get(origin)! - 1)
      this.#closeUnused(origin)
    }
    return onSettled(
      callSafely(() => call(origin, options)),
      end,
    )
  }

  #closeUnused(origin: Origin): void {
    if (origin === this.inner || this.#calls.get(origin)! > 0) return
    this.#calls.delete(origin)
    // It is not waited for, and its error could not be acted on.
    void origin.close().catch(() => {})
  }
}
