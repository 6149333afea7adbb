/**
 * Peer health, judged by our own requests alone: a member that fails is passed by for a while, doubled at each
 * further failure, and then tried by one request. One that lied is asked no more until it registers anew.
 */
import { LatencyWindow } from '../../origin/wrappers/latency-window.ts'
import { lateAnswersMax, passedByMsMax, passedByMsMin, samplesMax, samplesMin } from './limits.ts'

/** The healths of a member. */
export const peerHealths = ['well', 'passed-by', 'quarantined'] as const
export type PeerHealthName = (typeof peerHealths)[number]

/** Counters of one member, for status. */
export interface MemberCounters {
  readonly requests: number
  readonly bytes: number
  readonly refusals: number
  readonly failures: number
}

/** Reads up to this length are short ones, which have their own times. */
const shortBytes = 256 * 1024

/** The share of a new answer in the rate. */
const rateWeight = 0.2

export class PeerHealth {
  readonly #now: () => number
  readonly #short = new LatencyWindow(samplesMax)
  readonly #long = new LatencyWindow(samplesMax)
  /** Of answers with bytes that the member had. */
  readonly #heldShort = new LatencyWindow(samplesMax)
  readonly #heldLong = new LatencyWindow(samplesMax)
  #passedByMs = 0
  #untilMs = 0
  #isProbing = false
  #liar: string | null = null
  #reason = ''
  #inFlight = 0
  #requests = 0
  #bytes = 0
  #refusals = 0
  #failures = 0
  /** Requests in a row that ended without an answer. */
  #late = 0
  #bytesPerSecond: number | null = null

  constructor(now: () => number) {
    this.#now = now
  }

  get state(): PeerHealthName {
    return this.#liar !== null ? 'quarantined' : this.#passedByMs > 0 ? 'passed-by' : 'well'
  }

  /** Why it is not well; empty: it is. */
  get reason(): string {
    return this.#liar ?? this.#reason
  }

  get counters(): MemberCounters {
    return { requests: this.#requests, bytes: this.#bytes, refusals: this.#refusals, failures: this.#failures }
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Of its long answers; null: none is known. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond
  }

  /** May it be asked now? Of one that is passed by that is so when its time is over, for one request. */
  get isUsable(): boolean {
    if (this.#liar !== null) return false
    return this.#passedByMs === 0 || (!this.#isProbing && this.#now() >= this.#untilMs)
  }

  /** A request begins. */
  begin(): void {
    this.#requests++
    this.#inFlight++
    if (this.#passedByMs > 0) this.#isProbing = true
  }

  /** It has ended; one of the calls below says how. */
  end(): void {
    this.#inFlight--
    this.#isProbing = false
  }

  /** @param wasBrought the member had to bring the bytes: that time is its origin's */
  answered(bytes: number, ms: number, wasBrought = false): void {
    this.#bytes += bytes
    this.#late = 0
    this.#windowOf(bytes).add(ms)
    if (!wasBrought) this.#heldWindowOf(bytes).add(ms)
    if (bytes > shortBytes && ms > 0) {
      const now = (bytes / ms) * 1000
      this.#bytesPerSecond = (this.#bytesPerSecond ?? now) + rateWeight * (now - (this.#bytesPerSecond ?? now))
    }
    this.#well()
  }

  /** It is alive, and does not give what it was asked for. */
  refused(): void {
    this.#refusals++
    this.#well()
  }

  failed(reason: string): void {
    this.#failures++
    // Requests of one failure end together: they count once.
    if (this.#passedByMs > 0 && this.#now() < this.#untilMs) return
    this.#passedByMs = Math.min(passedByMsMax, Math.max(passedByMsMin, this.#passedByMs * 2))
    this.#untilMs = this.#now() + this.#passedByMs
    this.#reason = reason
  }

  /** A read has waited for it as long as it may: once its origin is slow, and several times in a row it hangs. */
  late(): void {
    if (++this.#late >= lateAnswersMax) this.failed('kept requests waiting, and answered none')
  }

  /** It sent bytes that are not the image's. */
  lied(reason: string): void {
    this.#liar ??= reason
  }

  /** A quantile of the times of answers of such a length; null: too few are known. */
  quantile(bytes: number, share: number): number | null {
    const window = this.#windowOf(bytes)
    return window.size < samplesMin ? null : window.quantile(share)
  }

  /** The median of the times of answers with bytes that it had; null: too few are known. */
  heldMs(bytes: number): number | null {
    const window = this.#heldWindowOf(bytes)
    return window.size < samplesMin ? null : window.quantile(0.5)
  }

  #well(): void {
    this.#passedByMs = 0
    this.#reason = ''
  }

  #heldWindowOf(bytes: number): LatencyWindow {
    return bytes <= shortBytes ? this.#heldShort : this.#heldLong
  }

  #windowOf(bytes: number): LatencyWindow {
    return bytes <= shortBytes ? this.#short : this.#long
  }
}
