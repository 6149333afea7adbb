/**
 * Blocks that were fetched ahead and that nobody has read yet: their bytes wait in memory instead of going to the store at once.
 *
 * A read of what the store holds is answered natively, and nobody here would know of it. A read of what is parked comes here: so
 * it shows what was of use, and that a stream goes on. Whatever is read goes to the store; whatever waits too long, or has to make
 * room, goes there unread. What the store did not take waits here too, for those who come back for more of it.
 */
import { parkedMsMax } from '../ahead-limits.ts'

/** One block, or some, in memory. */
export interface Parked {
  readonly bytes: number
  /** It leaves, read or not: its bytes may go to the store now. */
  leave(wasRead: boolean): void
}

export class Park {
  readonly #bytesMax: number
  readonly #now: () => number
  /** By when they came. */
  readonly #parked = new Map<Parked, number>()
  // INVARIANT: usedBytes <= bytesMax after each change, or one is parked.
  #usedBytes = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** @param now milliseconds, never going back */
  constructor(bytesMax: number, now: () => number) {
    this.#bytesMax = bytesMax
    this.#now = now
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get size(): number {
    return this.#parked.size
  }

  add(parked: Parked): void {
    if (this.#closed) {
      parked.leave(false)
      return
    }
    this.#parked.set(parked, this.#now())
    this.#usedBytes += parked.bytes
    for (const oldest of this.#parked.keys()) {
      if (this.#usedBytes <= this.#bytesMax || oldest === parked) break
      this.#remove(oldest, false)
    }
    this.#timer ??= setInterval(() => this.sweep(), parkedMsMax / 4).unref()
  }

  /** Somebody reads it. Nothing happens when it has left. */
  read(parked: Parked): void {
    if (this.#parked.has(parked)) this.#remove(parked, true)
  }

  /** It goes back to who has parked it, who does not hear of it. @returns false when it has left */
  take(parked: Parked): boolean {
    if (!this.#parked.delete(parked)) return false
    this.#usedBytes -= parked.bytes
    if (this.#parked.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    return true
  }

  /** Let those leave that have waited too long. */
  sweep(): void {
    const nowMs = this.#now()
    for (const [parked, sinceMs] of this.#parked) {
      if (nowMs - sinceMs < parkedMsMax) return
      this.#remove(parked, false)
    }
  }

  /** Let all leave, also those that come later. Idempotent. */
  close(): void {
    this.#closed = true
    for (const parked of this.#parked.keys()) this.#remove(parked, false)
  }

  #remove(parked: Parked, wasRead: boolean): void {
    if (this.take(parked)) parked.leave(wasRead)
  }
}
