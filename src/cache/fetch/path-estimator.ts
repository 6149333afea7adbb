/**
 * Path estimator: round trip and bandwidth of the path to an origin, from its fetches. Their product (BDP) is the
 * number of bytes that keep it full.
 *
 * The bandwidth that was used says little while readers wait for one small fetch after the other. `bytesPerWait` is
 * found from delays instead: how much longer fetches took beside more bytes.
 */

import { callSafely } from '../../async/on-settled.ts'

/** Fetches by which the latency is judged. */
const samplesMax = 64
/** The time under way for one measurement of the bandwidth, pauses left out, and the number of those that are kept. */
const windowMs = 50
const widthsMax = 20
/** Fetches beside so many times the bytes of the quickest one show the delay that bytes cause. */
const loadedMin = 2
/** The bytes for which the delays seen are believed, as a multiple of the most that was in flight at once. */
const trustedGrowth = 4

/** One fetch that arrived. */
interface Sample {
  readonly ms: number
  readonly atMs: number
  /** In flight when it began, its own included. */
  readonly inFlightBytes: number
  /** Its own, if a session thread fetched it. */
  readonly nativeBytes: number
}

export class PathEstimator {
  readonly #now: () => number
  readonly #samples: Sample[] = []
  readonly #widths: number[] = []
  /** The least of the times and the most of the widths: they are asked for more often than they change. */
  #latencyMs = 0
  #bytesPerSecond = 0
  /** Null: to be found anew. */
  #bytesPerWait: number | null = 0
  #underWay = 0
  #inFlightBytes = 0
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

  /**
   * Bytes that the path carries in the time of one wait for it: fetched ahead, they cost as much time as they may save.
   * 0 before the first fetch; little as long as nothing is known of the bandwidth.
   */
  get bytesPerWait(): number {
    return (this.#bytesPerWait ??= bytesPerWaitOf(this.#samples))
  }

  /** Bytes of fetches under way; those of session threads as many as came in the time of one. */
  get inFlightBytes(): number {
    return this.#inFlightBytes + this.#nativeBytesSince(this.#now() - this.#latencyMs)
  }

  /** Do a fetch of `bytes`, and measure it. */
  measure<T>(bytes: number, fetch: () => Promise<T>): Promise<T> {
    const startMs = this.#now()
    if (this.#underWay++ === 0) this.#sinceMs = startMs
    this.#inFlightBytes += bytes
    const { inFlightBytes } = this
    const fetching = callSafely(fetch)
    fetching.then(
      () => {
        this.#arrived(bytes, startMs, inFlightBytes)
        this.#ended(bytes)
      },
      () => this.#ended(bytes),
    )
    return fetching
  }

  /** A session thread has fetched `bytes` in the last `ms` milliseconds. */
  arrivedNatively(bytes: number, ms: number): void {
    const nowMs = this.#now()
    // Several at once are under way for as long as one of them.
    if (this.#underWay === 0) this.#busyMs += nowMs - Math.max(nowMs - ms, this.#coveredMs)
    this.#coveredMs = nowMs
    this.#keep({ ms, atMs: nowMs, nativeBytes: bytes, inFlightBytes: bytes + this.#nativeBytesSince(nowMs - ms) })
    this.#bytes += bytes
    this.#measureWidth(nowMs)
  }

  #ended(bytes: number): void {
    this.#inFlightBytes -= bytes
    if (--this.#underWay > 0) return
    this.#coveredMs = this.#now()
    this.#busyMs += this.#coveredMs - this.#sinceMs
  }

  #arrived(bytes: number, startMs: number, inFlightBytes: number): void {
    const nowMs = this.#now()
    this.#keep({ ms: nowMs - startMs, atMs: nowMs, nativeBytes: 0, inFlightBytes })
    this.#bytes += bytes
    this.#measureWidth(nowMs)
  }

  #keep(sample: Sample): void {
    keep(this.#samples, sample, samplesMax)
    this.#latencyMs = quickestOf(this.#samples).ms
    this.#bytesPerWait = null
  }

  /** As many come in the time of a fetch as are in flight at once. */
  #nativeBytesSince(sinceMs: number): number {
    let bytes = 0
    for (let k = this.#samples.length - 1; k >= 0 && this.#samples[k]!.atMs > sinceMs; k--) {
      bytes += this.#samples[k]!.nativeBytes
    }
    return bytes
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

/**
 * Fetches with little in flight beside them show the wait; the median of the others' delays is the time of each further
 * byte. A machine or a server that is late delays both alike, and so does not count.
 */
function bytesPerWaitOf(samples: readonly Sample[]): number {
  const loadedBytes = loadedMin * quickestOf(samples).inFlightBytes
  const alone = samples.filter(({ inFlightBytes }) => inFlightBytes < loadedBytes)
  const waitMs = medianOf(alone.map(({ ms }) => ms))
  const aloneBytes = medianOf(alone.map(({ inFlightBytes }) => inFlightBytes))
  let most = 0
  const msPerByte: number[] = []
  for (const { ms, inFlightBytes } of samples) {
    most = Math.max(most, inFlightBytes)
    if (inFlightBytes >= loadedBytes) msPerByte.push((ms - waitMs) / (inFlightBytes - aloneBytes))
  }
  const median = medianOf(msPerByte)
  const carried = median > 0 ? waitMs / median - aloneBytes : Number.POSITIVE_INFINITY
  return Math.max(0, Math.min(trustedGrowth * most, carried))
}

/** 0 of none. */
function medianOf(values: number[]): number {
  values.sort((a, b) => a - b)
  return values[values.length >> 1] ?? 0
}

function keep<T>(values: T[], value: T, max: number): void {
  values.push(value)
  if (values.length > max) values.shift()
}

function quickestOf(samples: readonly Sample[]): Sample {
  let quickest = samples[0]!
  for (const sample of samples) if (sample.ms < quickest.ms) quickest = sample
  return quickest
}

function mostOf(values: readonly number[]): number {
  let most = 0
  for (const value of values) if (value > most) most = value
  return most
}
