/**
 * Path estimator: round trip and bandwidth of the path to an origin, from its fetches. Their product (BDP) is the
 * number of bytes that keep it full.
 */

import { callSafely } from '../../async/on-settled.ts'

/** Fetches by which the latency is judged. */
const samplesMax = 64
/** The time under way for one measurement of the bandwidth, pauses left out, and the number of those that are kept. */
const windowMs = 50
const widthsMax = 20

export class PathEstimator {
  readonly #now: () => number
  readonly #times: number[] = []
  readonly #widths: number[] = []
  /** The least of the times and the most of the widths: they are asked for more often than they change. */
  #latencyMs = 0
  #bytesPerSecond = 0
  #underWay = 0
  #sinceMs = 0
  /** All that was under way until then is in #busyMs. */
  #coveredMs = 0
  /** Since the last measurement: how long something was under way until #sinceMs, and what came. */
  #busyMs = 0
  #bytes = 0

  /** @param now milliseconds, never going back */
  constructor(now: () => number) {
    this.#now = now
  }

  /** The shortest of the last fetches, in milliseconds; 0 as long as there was none. */
  get latencyMs(): number {
    return this.#latencyMs
  }

  /** The most that came in a while lately; 0 until that is known. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond
  }

  /** Bytes under way when the link is full. */
  get bdpBytes(): number {
    return (this.latencyMs / 1000) * this.bytesPerSecond
  }

  /** Do a fetch of `bytes`, and measure it. */
  measure<T>(bytes: number, fetch: () => Promise<T>): Promise<T> {
    const startMs = this.#now()
    if (this.#underWay++ === 0) this.#sinceMs = startMs
    const fetching = callSafely(fetch)
    fetching.then(
      () => {
        this.#arrived(bytes, startMs)
        this.#ended()
      },
      () => this.#ended(),
    )
    return fetching
  }

  /** A session thread has fetched `bytes` in the last `ms` milliseconds. */
  arrivedNatively(bytes: number, ms: number): void {
    const nowMs = this.#now()
    // Several at once are under way for as long as one of them.
    if (this.#underWay === 0) this.#busyMs += nowMs - Math.max(nowMs - ms, this.#coveredMs)
    this.#coveredMs = nowMs
    keep(this.#times, ms, samplesMax)
    this.#latencyMs = leastOf(this.#times)
    this.#bytes += bytes
    this.#measureWidth(nowMs)
  }

  #ended(): void {
    if (--this.#underWay > 0) return
    this.#coveredMs = this.#now()
    this.#busyMs += this.#coveredMs - this.#sinceMs
  }

  #arrived(bytes: number, startMs: number): void {
    const nowMs = this.#now()
    keep(this.#times, nowMs - startMs, samplesMax)
    this.#latencyMs = leastOf(this.#times)
    this.#bytes += bytes
    this.#measureWidth(nowMs)
  }

  #measureWidth(nowMs: number): void {
    const tookMs = this.#busyMs + (this.#underWay > 0 ? nowMs - this.#sinceMs : 0)
    if (tookMs < windowMs) return
    keep(this.#widths, (this.#bytes / tookMs) * 1000, widthsMax)
    this.#bytesPerSecond = mostOf(this.#widths)
    this.#sinceMs = nowMs
    this.#busyMs = 0
    this.#bytes = 0
  }
}

function keep(values: number[], value: number, max: number): void {
  values.push(value)
  if (values.length > max) values.shift()
}

function leastOf(values: readonly number[]): number {
  let least = Number.POSITIVE_INFINITY
  for (const value of values) if (value < least) least = value
  return least
}

function mostOf(values: readonly number[]): number {
  let most = 0
  for (const value of values) if (value > most) most = value
  return most
}
