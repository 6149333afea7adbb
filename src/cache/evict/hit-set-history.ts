/**
 * Hit-set history of one origin: the set of the current period and those of the periods before it, newest first.
 *
 * Periods go by the clock of the wall, as they outlive restarts. A pause of several periods leaves as many empty sets.
 * A clock that was set back begins the period anew.
 */
import type { HitSetRecord } from '../../index/format/records.ts'
import { decodeHitSet, type HitSet, type HitSetOptions, newHitSet } from './hit-set.ts'

interface Period {
  readonly startedMs: number
  readonly set: HitSet
  /** The index has it as it is. */
  isKept: boolean
}

/** Changes that the index is to have. */
export interface HitSetChanges {
  readonly changed: readonly HitSetRecord[]
  /** Begins of all periods there are: other sets go. */
  readonly startedMs: readonly number[]
}

export class HitSetHistory {
  #options: HitSetOptions
  readonly #objects: () => number
  /** INVARIANT: 1 to `count` of them, or none where the type is `none`. */
  #periods: Period[] = []
  #overflow = 0
  #isChanged = false

  /** @param objects how many the cache can hold; @param records of an earlier process, newest first */
  constructor(options: HitSetOptions, objects: () => number, nowMs: number, records: readonly HitSetRecord[] = []) {
    this.#options = options
    this.#objects = objects
    if (options.type === 'none') return
    for (const { type, startedMs, content } of records) {
      const set = type === options.type ? decodeHitSet(type, content) : null
      if (set && startedMs <= nowMs) this.#periods.push({ startedMs, set, isKept: true })
    }
    if (this.#periods.length === 0) this.#begin(nowMs)
    this.rotate(nowMs)
    this.#keepNewest()
  }

  get options(): HitSetOptions {
    return this.#options
  }

  /** Sets there are, the current one included. */
  get length(): number {
    return this.#periods.length
  }

  get memoryBytes(): number {
    return this.#periods.reduce((sum, { set }) => sum + set.memoryBytes, 0)
  }

  /** Objects that were not entered since the process started. */
  get overflow(): number {
    return this.#overflow
  }

  /** Is the current period over? */
  isOver(nowMs: number): boolean {
    const current = this.#periods[0]
    if (!current) return false
    return nowMs < current.startedMs || nowMs >= current.startedMs + this.#options.periodMs
  }

  /** Begin the periods that have come. */
  rotate(nowMs: number): void {
    const { count, periodMs } = this.#options
    if (!this.isOver(nowMs)) return
    const { startedMs } = this.#periods[0]!
    const passed = Math.floor((nowMs - startedMs) / periodMs)
    const missed = Math.min(count, passed)
    if (passed < 0) this.#begin(nowMs)
    else for (let k = missed - 1; k >= 0; k--) this.#begin(startedMs + (passed - k) * periodMs)
  }

  /** Other settings; another type begins anew. Each set keeps its own promise about false positives. */
  change(options: HitSetOptions, nowMs: number): void {
    const isOther = options.type !== this.#options.type
    this.#options = options
    if (isOther) this.#periods = []
    if (options.type === 'none') this.#isChanged ||= isOther
    else if (this.#periods.length === 0) this.#begin(nowMs)
    this.#keepNewest()
  }

  /** An object was used now. */
  add(imageId: string, object: number): void {
    const current = this.#periods[0]
    if (!current) return
    const { size } = current.set
    if (!current.set.add(imageId, object)) this.#overflow++
    if (current.set.size === size) return
    current.isKept = false
    this.#isChanged = true
  }

  /** Is it in any of the newest `among` sets? */
  has(imageId: string, object: number, among = this.#periods.length): boolean {
    for (let k = 0; k < among && k < this.#periods.length; k++) {
      if (this.#periods[k]!.set.has(imageId, object)) return true
    }
    return false
  }

  /** The number of sets that it is in. */
  temperature(imageId: string, object: number): number {
    let sets = 0
    for (const { set } of this.#periods) if (set.has(imageId, object)) sets++
    return sets
  }

  /** Changes since the last call, to be kept; null: none. */
  takeChanges(): HitSetChanges | null {
    if (!this.#isChanged) return null
    this.#isChanged = false
    const changed: HitSetRecord[] = []
    for (const period of this.#periods) {
      const { startedMs, set } = period
      if (!period.isKept) changed.push({ type: set.type, startedMs, content: set.encode() })
      period.isKept = true
    }
    return { changed, startedMs: this.#periods.map(({ startedMs }) => startedMs) }
  }

  /** They could not be kept. */
  putBack(): void {
    for (const period of this.#periods) period.isKept = false
    this.#isChanged = true
  }

  #begin(startedMs: number): void {
    this.#periods.unshift({ startedMs, set: newHitSet(this.#options, this.#objects()), isKept: false })
    this.#isChanged = true
    this.#keepNewest()
  }

  #keepNewest(): void {
    const { count } = this.#options
    if (this.#periods.length <= count) return
    this.#periods.length = count
    this.#isChanged = true
  }
}
