/**
 * Prefetch accuracy: counts prefetched bytes that were read, and those that were not. Where too many go unread, less is
 * prefetched.
 */
import { prefetchRecentBytes, prefetchUnreadShareMax } from '../fetch/limits.ts'

export interface PrefetchAccuracyCounters {
  /** Asked of origins before any reader wanted them. */
  readonly fetchedBytes: number
  /** Read within some seconds. */
  readonly readBytes: number
  /** Not read for some seconds, or never came: waste, unless they are read later. */
  readonly unreadBytes: number
}

/** The part of a budget that is left at the least: else nothing would ever show that times are better. */
const scaleMin = 1 / 16

export class PrefetchAccuracy {
  #fetchedBytes = 0
  #readBytes = 0
  #unreadBytes = 0
  /** The same lately: what is older counts less and less. */
  #recentRead = 0
  #recentUnread = 0

  get counters(): PrefetchAccuracyCounters {
    return { fetchedBytes: this.#fetchedBytes, readBytes: this.#readBytes, unreadBytes: this.#unreadBytes }
  }

  /** The share of the usual that may be prefetched: 1 while the budget for waste is kept, less the more is wasted. */
  get scale(): number {
    const known = this.#recentRead + this.#recentUnread
    // A few pieces say nothing.
    if (known < prefetchRecentBytes / 16) return 1
    const unreadShare = this.#recentUnread / known
    if (unreadShare <= prefetchUnreadShareMax) return 1
    return Math.max(scaleMin, (1 - unreadShare) / (1 - prefetchUnreadShareMax))
  }

  /** So many bytes are being fetched. For each of them it is said once what became of it. */
  fetched(bytes: number): void {
    this.#fetchedBytes += bytes
  }

  read(bytes: number): void {
    this.#settle(bytes, 0)
  }

  unread(bytes: number): void {
    this.#settle(0, bytes)
  }

  #settle(read: number, unread: number): void {
    this.#readBytes += read
    this.#unreadBytes += unread
    const rest = Math.max(0, 1 - (read + unread) / prefetchRecentBytes)
    this.#recentRead = this.#recentRead * rest + read
    this.#recentUnread = this.#recentUnread * rest + unread
  }
}
