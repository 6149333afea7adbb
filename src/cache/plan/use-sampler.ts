/**
 * Use sampler: takes the uses of sampled objects that session threads answer, hits and misses, joins the reads that
 * come to the main thread, and keeps their log.
 *
 * Its cost is bounded over time, not by throwing the sample away: a taking of many samples is followed by a longer
 * pause, in which the uses of an object become one entry. Samples are counted, not milliseconds: on a busy machine a
 * clock says more than the work took, and in a long pause a small cache would have missed what looks like one use.
 */
import { type RunAfter, runAfter } from '../../async/timers.ts'
import { sampleCostMs, sampleMsMax, sampleMsMin, sampleShareMax } from './limits.ts'
import { sampleHash } from './sample-hash.ts'
import { UseLog, type UseSample } from './use-log.ts'

/** Reads that a transport answers by itself. */
export interface NativeUses {
  /** Those of objects whose hash is below it are sampled from now on. */
  setSampling(below: number): void
  /** Uses since the last call, see {@link Session.takeSamples}; hits and uses without room since the start. */
  take(): { readonly samples: Float64Array; readonly hits: number; readonly dropped: number }
}

/** Numbers of one native sample. */
const fields = 5

export class UseSampler {
  readonly #log: UseLog
  readonly #native: NativeUses | null
  readonly #ownReads: () => number
  readonly #now: () => number
  readonly #after: RunAfter
  #below = 0
  #hits = 0
  #dropped = 0
  #cancel: () => void = () => {}
  #isClosed = false

  /** @param ownReads reads that came to the main thread until now */
  constructor(native: NativeUses | null, ownReads: () => number, now: () => number, after: RunAfter = runAfter) {
    this.#native = native
    this.#ownReads = ownReads
    this.#now = now
    this.#after = after
    this.#log = new UseLog(now())
  }

  start(): void {
    this.#takeLater(sampleMsMin)
  }

  /** A reader that came to the main thread uses blocks of an object. */
  used(file: number, object: number, blocks: bigint): void {
    if (sampleHash(file, object) >= this.#log.threshold) return
    const [low, high] = [Number(blocks & 0xffff_ffffn), Number(blocks >> 32n)]
    this.#log.add({ file, object, low, high, reads: 1 }, this.#reads)
  }

  /** Uses of sampled objects that found no room: a curve is less sure where these are more than some. */
  get dropped(): number {
    return this.#dropped
  }

  /** The log until now. */
  sample(): UseSample {
    this.#take()
    return this.#log.sample(this.#reads)
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true
    this.#cancel()
  }

  get #reads(): number {
    return this.#hits + this.#ownReads()
  }

  #takeLater(ms: number): void {
    if (this.#isClosed) return
    this.#cancel = this.#after(ms, () => {
      const costMs = this.#take() * sampleCostMs
      this.#takeLater(Math.min(sampleMsMax, Math.max(sampleMsMin, costMs / sampleShareMax)))
    })
  }

  /** @returns samples that were taken */
  #take(): number {
    this.#log.look(this.#now())
    if (!this.#native || this.#isClosed) return 0
    if (this.#below !== this.#log.threshold) this.#native.setSampling((this.#below = this.#log.threshold))
    const { samples, hits, dropped } = this.#native.take()
    this.#hits = hits
    this.#dropped = dropped
    const until = this.#reads
    for (let at = 0; at + fields <= samples.length; at += fields) {
      const [file, object, low, high, reads] = samples.subarray(at, at + fields) as unknown as number[]
      this.#log.add({ file: file!, object: object!, low: low!, high: high!, reads: reads! }, until)
    }
    return samples.length / fields
  }
}
