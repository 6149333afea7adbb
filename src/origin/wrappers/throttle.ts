/**
 * Throttle: an Origin that asks for no more than so many reads and bytes a second, with bursts; the others wait, first
 * come first served.
 *
 * Both are buckets that fill at their rate up to their burst. A read may begin when neither is overdrawn, and then
 * takes all that it needs. A read larger than the burst overdraws its bucket, and the next one waits until that is paid
 * back. So the mean rate holds whatever the sizes are, and nothing waits for ever.
 *
 * It belongs above the deadline, so that waiting takes nothing off that (a reader's own time-out still ends it), and
 * below the limit, which bounds the waiters. Names pass: they are few, and a caller waits for each. A read that is
 * tried again is counted once.
 *
 * Session threads read at the same rates: they get a small ration ahead, renewed with each read of an image, theirs or
 * not, as long as nothing is overdrawn.
 */

import { abortable } from '../../async/abortable.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { endingWith } from '../../base/trace.ts'
import type { OriginGrant } from '../../native/origin-reader.ts'
import type { Origin, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { ForwardingOrigin, readWholeOf } from './forwarding-origin.ts'
import { nativeRationMs } from './limits.ts'

export interface Rate {
  /** 0: no limit. */
  readonly perSecond: number
  /** The size of a burst after a rest; 0: as much as in a second. */
  readonly burst: number
}

export interface ThrottleOptions {
  readonly reads: Rate
  readonly bytes: Rate
}

/** The clock that it goes by. */
export interface ThrottleClock {
  /** Never goes back. */
  readonly nowMs: () => number
  /** Waits so long, or until the signal fires. */
  readonly pause: (ms: number, signal: CancelSignal) => Promise<void>
}

const realClock: ThrottleClock = { nowMs: () => performance.now(), pause }

export class ThrottleOrigin extends ForwardingOrigin {
  readonly #reads: Bucket
  readonly #bytes: Bucket
  readonly #clock: ThrottleClock
  readonly #grant: Pick<OriginGrant, 'refill'> | null
  /** Settles when all earlier callers have had their turn or left. */
  #last: Promise<void> = Promise.resolve()

  /** @param grant gets the rations of session threads; null: there are none */
  constructor(
    inner: Origin,
    { reads, bytes }: ThrottleOptions,
    clock: ThrottleClock = realClock,
    grant: Pick<OriginGrant, 'refill'> | null = null,
  ) {
    super(inner)
    this.#grant = grant
    this.#reads = new Bucket(reads, clock)
    this.#bytes = new Bucket(bytes, clock)
    this.#clock = clock
  }

  /** Readers that read by themselves would go past the rate. */
  override get hasOwnFiles(): boolean {
    return false
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const queued = options.trace?.begin('queue', { 'parentfs.queue': 'throttle' })
    await endingWith(queued, this.#turn(1, target.length, options))
    await this.inner.read(image, offset, target, options)
  }

  /** One read, whose bytes have their turns as they come. */
  override async readWhole(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    await this.#turn(1, 0, options)
    const takeInTurn = async (bytes: Uint8Array) => {
      await this.#turn(0, bytes.length, options)
      await take(bytes)
    }
    await readWholeOf(this.inner, image, takeInTurn, options)
  }

  /** Give session threads another ration, where they have used the last one. */
  ration(): void {
    if (this.#grant === null) return
    const { reads, bytes } = this.#grant.refill(this.#reads.ration, this.#bytes.ration)
    this.#reads.take(reads)
    this.#bytes.take(bytes)
  }

  async #turn(reads: number, bytes: number, { signal }: ReadOptions): Promise<void> {
    throwIfAborted(signal)
    const before = this.#last
    const turn = this.#take(before, reads, bytes, signal)
    // A leaving caller lets the next one go on, but not before those that were there first.
    this.#last = turn.catch(() => before)
    await turn
  }

  async #take(before: Promise<void>, reads: number, bytes: number, signal: CancelSignal): Promise<void> {
    await abortable(before, signal)
    while (true) {
      throwIfAborted(signal)
      const waitMs = Math.max(this.#reads.waitMs, this.#bytes.waitMs)
      if (waitMs <= 0) break
      await this.#clock.pause(Math.ceil(waitMs), signal)
    }
    this.#reads.take(reads)
    this.#bytes.take(bytes)
    this.ration()
  }
}

class Bucket {
  readonly #perMs: number
  readonly #burst: number
  readonly #clock: ThrottleClock
  // INVARIANT: #left <= #burst.
  #left: number
  #sinceMs: number

  constructor({ perSecond, burst }: Rate, clock: ThrottleClock) {
    this.#perMs = perSecond / 1000
    this.#burst = burst > 0 ? burst : perSecond
    this.#clock = clock
    this.#left = this.#burst
    this.#sinceMs = clock.nowMs()
  }

  /** The time until something may begin. */
  get waitMs(): number {
    if (this.#perMs === 0) return 0
    this.#fill()
    return this.#left > 0 ? 0 : (1 - this.#left) / this.#perMs
  }

  /** So much may be given ahead now: one at least, if there is that. */
  get ration(): number {
    if (this.#perMs > 0) this.#fill()
    return Math.max(0, Math.floor(Math.min(this.#left, Math.max(1, this.#perMs * nativeRationMs))))
  }

  take(amount: number): void {
    if (this.#perMs > 0) this.#left -= amount
  }

  #fill(): void {
    const nowMs = this.#clock.nowMs()
    this.#left = Math.min(this.#burst, this.#left + (nowMs - this.#sinceMs) * this.#perMs)
    this.#sinceMs = nowMs
  }
}
