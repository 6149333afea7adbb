/**
 * One location of an origin's images: the Origin that reads it, and its figures: latency, rate, errors, and the pause
 * after failures.
 */
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { backoffMsMax, backoffMsMin, figureWeight, tryFactor, tryMsMax, tryMsMin } from './limits.ts'

/** Figures of a location, for operators. */
export interface LocationFigures {
  readonly url: string
  readonly requests: number
  readonly bytes: number
  readonly errors: number
  /** Of a small read, in milliseconds; null: not measured. */
  readonly latencyMs: number | null
  readonly bytesPerSecond: number | null
}

/** Of a location that was never asked. */
export const noFigures = { requests: 0, bytes: 0, errors: 0, latencyMs: null, bytesPerSecond: null } as const

/** Reads up to this length show the latency, longer ones the rate. */
const smallBytes = 128 * 1024

export class Location {
  readonly origin: Origin
  readonly #now: () => number
  #requests = 0
  #bytes = 0
  #errors = 0
  #latencyMs: number | null = null
  #bytesPerSecond: number | null = null
  #backoffMs = 0
  #awayUntilMs = Number.NEGATIVE_INFINITY
  #measuredMs = Number.NEGATIVE_INFINITY

  /** @param now milliseconds, never going back */
  constructor(origin: Origin, now: () => number) {
    this.origin = origin
    this.#now = now
  }

  get figures(): LocationFigures {
    return {
      url: this.origin.url,
      requests: this.#requests,
      bytes: this.#bytes,
      errors: this.#errors,
      latencyMs: this.#latencyMs,
      bytesPerSecond: this.#bytesPerSecond,
    }
  }

  /** Is it left alone after failures? One request is let through when its pause is over. */
  get isAway(): boolean {
    return this.#now() < this.#awayUntilMs
  }

  /** The time since it was last measured. */
  get ageMs(): number {
    return this.#now() - this.#measuredMs
  }

  /** The expected time of a read, in milliseconds; null: not measured. */
  expectedMs(bytes: number): number | null {
    if (this.#latencyMs === null) return null
    const transferMs = this.#bytesPerSecond === null ? 0 : (bytes / this.#bytesPerSecond) * 1000
    return Math.max(this.#latencyMs, transferMs)
  }

  /** The time after which another location is tried. */
  tryMs(bytes: number): number {
    return Math.min(tryMsMax, Math.max(tryMsMin, tryFactor * (this.expectedMs(bytes) ?? tryMsMax)))
  }

  /** @returns the time that a read took, in milliseconds, which counts; a failure does unless its signal has fired */
  async timed(bytes: number, read: () => Promise<void>, { signal }: Pick<ReadOptions, 'signal'>): Promise<number> {
    const startMs = this.#now()
    try {
      await read()
      const tookMs = this.#now() - startMs
      this.answered(bytes, tookMs)
      return tookMs
    } catch (error) {
      if (!signal.aborted) this.failed()
      throw error
    }
  }

  answered(bytes: number, ms: number): void {
    this.#requests++
    this.#bytes += bytes
    this.#backoffMs = 0
    this.#awayUntilMs = Number.NEGATIVE_INFINITY
    this.#measuredMs = this.#now()
    if (bytes <= smallBytes || this.#latencyMs === null) this.#latencyMs = mixed(this.#latencyMs, ms)
    if (bytes > smallBytes && ms > 0) this.#bytesPerSecond = mixed(this.#bytesPerSecond, (bytes / ms) * 1000)
  }

  /** A measurement, in the place of the figure of before, which may be old. */
  measured(latencyMs: number): void {
    this.#latencyMs = latencyMs
  }

  failed(): void {
    this.#requests++
    this.#errors++
    this.#backoffMs = Math.min(backoffMsMax, Math.max(backoffMsMin, 2 * this.#backoffMs))
    this.#awayUntilMs = this.#now() + this.#backoffMs
  }
}

function mixed(before: number | null, now: number): number {
  return before === null ? now : before + figureWeight * (now - before)
}
