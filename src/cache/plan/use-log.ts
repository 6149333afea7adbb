/**
 * Use log: the uses of a spatial sample of the objects, in their order, at a memory that is fixed.
 *
 * The sample has the objects whose hash is below a threshold. When there are too many, the threshold falls and the uses
 * of those above it are forgotten, so that the log is of one rate all the time. A sample that has become small grows
 * again: the part of before is of the lower rate until the part since is as long. When the log is full, the sample is
 * made smaller, and when it is small already its oldest uses go.
 * Source: Waldspurger and others, "Efficient MRC Construction with SHARDS", FAST 15 (fixed size).
 */
import { growMs, growObjectsMax, sampledObjectsMax, sampledObjectsMin, sampledUsesMax } from './limits.ts'
import { sampleAll, sampleHash } from './sample-hash.ts'

/** Reads of one object that came one after the other, of the sample. */
export interface ObjectReads {
  readonly file: number
  readonly object: number
  /** Halves of the mask of the blocks that were read. */
  readonly low: number
  readonly high: number
  readonly reads: number
}

/** A log as a simulation wants it. */
export interface UseSample {
  /** The share of the objects that are in it. */
  readonly rate: number
  /** Use from which on misses are counted: before it, the simulated caches fill. */
  readonly countFrom: number
  /** All reads of the mount from there on, sampled or not. */
  readonly reads: number
  /** By use: file and object, halves of the mask, reads. */
  readonly files: Uint32Array
  readonly objects: Uint32Array
  readonly lows: Uint32Array
  readonly highs: Uint32Array
  readonly counts: Uint32Array
}

/** A part of the log that begins at a use, counted from the first ever. */
interface Epoch {
  readonly from: number
  readonly threshold: number
}

export class UseLog {
  readonly #objectsMax: number
  readonly #usesMax: number
  readonly #columns: Record<'file' | 'object' | 'low' | 'high' | 'reads', Uint32Array>
  /** All reads of the mount until each use. */
  readonly #readsUntil: Float64Array
  /** Uses that were forgotten, and those that are here: a ring. */
  #first = 0
  #length = 0
  /** Uses of each object in the log, by file and object. */
  readonly #uses = new Map<number, number>()
  #threshold = sampleAll
  /** Newest last; the first is from the begin. */
  #epochs: Epoch[] = [{ from: 0, threshold: sampleAll }]
  #seen = new Set<number>()
  #growLookMs: number

  constructor(nowMs: number, objectsMax = sampledObjectsMax, usesMax = sampledUsesMax) {
    this.#objectsMax = objectsMax
    this.#usesMax = usesMax
    const column = () => new Uint32Array(usesMax)
    this.#columns = { file: column(), object: column(), low: column(), high: column(), reads: column() }
    this.#readsUntil = new Float64Array(usesMax)
    this.#growLookMs = nowMs
  }

  /** Objects whose hash is below it are sampled. */
  get threshold(): number {
    return this.#threshold
  }

  get length(): number {
    return this.#length
  }

  /** @param readsUntil all reads of the mount until now */
  add(use: ObjectReads, readsUntil: number): void {
    if (sampleHash(use.file, use.object) >= this.#threshold) return
    if (this.#length === this.#usesMax) {
      if (this.#uses.size > sampledObjectsMin) this.#shrink()
      else this.#forgetOldest()
      if (sampleHash(use.file, use.object) >= this.#threshold) return
    }
    const at = (this.#first + this.#length++) % this.#usesMax
    for (const name of ['file', 'object', 'low', 'high', 'reads'] as const) this.#columns[name][at] = use[name]
    this.#readsUntil[at] = readsUntil
    const id = use.file * 2 ** 32 + use.object
    this.#uses.set(id, (this.#uses.get(id) ?? 0) + 1)
    this.#seen.add(id)
    if (this.#uses.size > this.#objectsMax) this.#shrink()
  }

  /** Let a sample that has become small grow; to be called now and then. */
  look(nowMs: number): void {
    if (nowMs < this.#growLookMs + growMs) return
    this.#growLookMs = nowMs
    const isSmall = this.#seen.size < growObjectsMax
    this.#seen = new Set()
    if (!isSmall || this.#threshold === sampleAll) return
    this.#threshold = Math.min(sampleAll, this.#threshold * 2)
    this.#epochs.push({ from: this.#first + this.#length, threshold: this.#threshold })
  }

  /** The log, or its part since the sample grew last where that is the longer one. */
  sample(readsUntil: number): UseSample {
    const lowest = Math.min(...this.#epochs.map(({ threshold }) => threshold))
    const all = this.#indices(this.#first, lowest)
    const newest = this.#epochs.at(-1)!
    const since = this.#indices(Math.max(newest.from, this.#first), newest.threshold)
    const isSince = since.length > all.length / 2
    const chosen = isSince ? since : all
    const isWhole = isSince ? newest.from === 0 && this.#first === 0 : this.#first === 0
    const countFrom = isWhole ? 0 : Math.floor(chosen.length / 2)
    const before = countFrom === 0 ? 0 : this.#readsUntil[chosen[countFrom]!]!
    const column = (name: keyof ObjectReads) => Uint32Array.from(chosen, at => this.#columns[name][at]!)
    return {
      rate: (isSince ? newest.threshold : lowest) / sampleAll,
      countFrom,
      reads: readsUntil - before,
      files: column('file'),
      objects: column('object'),
      lows: column('low'),
      highs: column('high'),
      counts: column('reads'),
    }
  }

  /** Places of the uses from one on, of objects below a threshold. */
  #indices(from: number, threshold: number): number[] {
    const chosen: number[] = []
    for (let use = from; use < this.#first + this.#length; use++) {
      const at = use % this.#usesMax
      if (sampleHash(this.#columns.file[at]!, this.#columns.object[at]!) < threshold) chosen.push(at)
    }
    return chosen
  }

  #forgetOldest(): void {
    const at = this.#first % this.#usesMax
    this.#forget(this.#columns.file[at]! * 2 ** 32 + this.#columns.object[at]!)
    this.#first++
    this.#length--
    while (this.#epochs.length > 1 && this.#epochs[1]!.from <= this.#first) this.#epochs.shift()
  }

  #forget(id: number): void {
    const left = this.#uses.get(id)! - 1
    if (left === 0) this.#uses.delete(id)
    else this.#uses.set(id, left)
  }

  /**
   * Lower the threshold until a quarter of the objects has gone, and forget their uses. Where the sample has grown, the
   * part of before goes: what it knows stands in the way of the present.
   */
  #shrink(): void {
    const { from } = this.#epochs.at(-1)!
    while (this.#epochs.length > 1 && this.#first < from) this.#forgetOldest()
    if (this.#length < this.#usesMax && this.#uses.size <= this.#objectsMax) return
    const hashes = Float64Array.from(this.#uses.keys(), id => sampleHash(Math.floor(id / 2 ** 32), id % 2 ** 32)).sort()
    this.#threshold = Math.max(1, hashes[Math.floor(hashes.length * 0.75)]!)
    const kept = this.#indices(this.#first, this.#threshold)
    // Places are ascending but for the turn of the ring: what is moved to a place was there or behind it.
    const columns = [...Object.values(this.#columns), this.#readsUntil]
    for (const column of columns) {
      const moved = kept.map(at => column[at]!)
      for (const [k, value] of moved.entries()) column[(this.#first + k) % this.#usesMax] = value
    }
    this.#length = kept.length
    for (const id of [...this.#uses.keys()]) {
      if (sampleHash(Math.floor(id / 2 ** 32), id % 2 ** 32) >= this.#threshold) this.#uses.delete(id)
    }
    // The parts of other rates have no borders any more; the lowest of them holds for all.
    const lowest = Math.min(this.#threshold, ...this.#epochs.map(({ threshold }) => threshold))
    this.#epochs = [{ from: this.#first === 0 ? 0 : this.#first, threshold: lowest }]
    this.#threshold = lowest
  }
}
