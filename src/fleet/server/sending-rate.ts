/**
 * Sending rate: turns of bytes that are sent to other hosts, one behind the other. A tenth of a second is made up for,
 * so that timers do not cost rate.
 */

/** Also kept by native threads, which send bytes of their own at the same rate: see src/native/serving-front.ts. */
export interface SendingRate {
  setRate(bytesPerSecond: number): void
  /** Bytes have their turn. @returns milliseconds until it is over; 0: it is */
  book(bytes: number): number
  /** Milliseconds until all turns are over; below 0: they are. */
  behindMs(): number
}

export class OwnSendingRate implements SendingRate {
  readonly #now: () => number
  #bytesPerSecond: number
  /** The time at which all that was granted will have been sent. */
  #nextMs = 0

  /** @param now milliseconds, never going back */
  constructor(bytesPerSecond: number, now: () => number) {
    this.#bytesPerSecond = bytesPerSecond
    this.#now = now
  }

  setRate(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond
  }

  book(bytes: number): number {
    const nowMs = this.#now()
    this.#nextMs = Math.max(this.#nextMs, nowMs - 100) + (bytes / this.#bytesPerSecond) * 1000
    return Math.max(0, this.#nextMs - nowMs)
  }

  behindMs(): number {
    return this.#nextMs - this.#now()
  }
}
