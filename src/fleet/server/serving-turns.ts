/**
 * Turns of other hosts: the rate at which this host sends, the memory of what is being sent, and the few requests that
 * may wait for an origin. Local readers have all else.
 */
import { ByteSemaphore } from '../../async/byte-semaphore.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { busyMsMax, fillsMax, sendingBytesMax } from './limits.ts'
import { OwnSendingRate, type SendingRate } from './sending-rate.ts'

export interface ServingTurnsOptions {
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly wait: (ms: number, signal: CancelSignal) => Promise<void>
  readonly fillsMax: number
}

export class ServingTurns {
  readonly #memory = new ByteSemaphore(sendingBytesMax)
  readonly #wait: ServingTurnsOptions['wait']
  readonly #fillsMax: number
  #bytesPerSecond: number
  readonly #own: OwnSendingRate
  #rate: SendingRate
  #fills = 0
  #sentBytes = 0

  constructor(bytesPerSecond: number, { now, wait, fillsMax: most }: Partial<ServingTurnsOptions> = {}) {
    this.#bytesPerSecond = bytesPerSecond
    this.#own = new OwnSendingRate(bytesPerSecond, now ?? (() => performance.now()))
    this.#rate = this.#own
    this.#wait = wait ?? pause
    this.#fillsMax = most ?? fillsMax
  }

  get sentBytes(): number {
    return this.#sentBytes
  }

  /** Requests that wait for an origin. */
  get fills(): number {
    return this.#fills
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond
  }

  /** Another rate from now on. */
  setRate(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond
    this.#rate.setRate(bytesPerSecond)
  }

  /** Native threads keep the rate from now on, for what they send and for the rest; null: they do not. */
  keptBy(rate: SendingRate | null): void {
    this.#rate = rate ?? this.#own
    this.#rate.setRate(this.#bytesPerSecond)
  }

  /** Would a request wait for its turn longer than another member takes to be asked? */
  get isBusy(): boolean {
    return this.#rate.behindMs() > busyMsMax
  }

  /** Wait for the turn of bytes that hold no memory here, at the rate. @throws CacheError aborted */
  async rated(bytes: number, signal: CancelSignal): Promise<void> {
    const waitMs = this.#rate.book(bytes)
    this.#sentBytes += bytes
    if (waitMs > 1) await this.#wait(waitMs, signal)
  }

  /** Bytes that had their turn and were not sent. */
  returned(bytes: number): void {
    this.#sentBytes -= bytes
  }

  /** Hold the memory of a piece while `send` runs, and the rate. @param owner takes turns with others */
  piece<T>(bytes: number, owner: number, signal: CancelSignal, send: () => Promise<T>): Promise<T> {
    return this.#memory.run(
      bytes,
      signal,
      async () => {
        await this.rated(bytes, signal)
        return await send()
      },
      owner,
    )
  }

  /** @returns its end, to be called once; null: there are enough */
  beginFill(): (() => void) | null {
    if (this.#fills >= this.#fillsMax) return null
    this.#fills++
    return () => void this.#fills--
  }
}
