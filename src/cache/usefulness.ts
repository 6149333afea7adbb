/**
 * What became of bytes that were fetched ahead: read, or not. Where too much goes unread, less is fetched ahead.
 */
import { aheadRecentBytes, aheadUnreadShareMax } from '../ahead-limits.ts'

export interface UsefulnessCounters {
  /** Asked of origins before anybody wanted them. */
  readonly fetchedBytes: number
  /** Read while that could be seen. */
  readonly readBytes: number
  /** Not read until they went to the store, or were dropped: waste, unless a native hit has them later. */
  readonly unreadBytes: number
}

/** The part of a budget that is left at the least: else nothing would ever show that times are better. */
const scaleMin = 1 / 16

export class Usefulness {
  #fetchedBytes = 0
  #readBytes = 0
  #unreadBytes = 0
  /** The same lately: what is older counts less and less. */
  #recentRead = 0
  #recentUnread = 0

  get counters(): UsefulnessCounters {
    return { fetchedBytes: this.#fetchedBytes, readBytes: this.#readBytes, unreadBytes: this.#unreadBytes }
  }

  /** How much of the usual may be fetched ahead: 1 while the budget for waste is kept, less the more is wasted. */
  get scale(): number {
    const known = this.#recentRead + this.#recentUnread
    // A few pieces say nothing.
    if (known < aheadRecentBytes / 16) return 1
    const unreadShare = this.#recentUnread / known
    if (unreadShare <= aheadUnreadShareMax) return 1
    return Math.max(scaleMin, (1 - unreadShare) / (1 - aheadUnreadShareMax))
  }

  /** @returns how to say, once, what became of `bytes` that are being fetched */
  begin(bytes: number): { read(): void; unread(): void } {
    this.#fetchedBytes += bytes
    let isKnown = false
    const once = (say: () => void) => () => {
      if (!isKnown) say()
      isKnown = true
    }
    return { read: once(() => this.#settle(bytes, 0)), unread: once(() => this.#settle(0, bytes)) }
  }

  #settle(read: number, unread: number): void {
    this.#readBytes += read
    this.#unreadBytes += unread
    const rest = Math.max(0, 1 - (read + unread) / aheadRecentBytes)
    this.#recentRead = this.#recentRead * rest + read
    this.#recentUnread = this.#recentUnread * rest + unread
  }
}
