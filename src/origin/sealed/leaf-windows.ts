/**
 * Leaf windows: the neighbouring leaves of a hash tree that are fetched together where an older version has most of the
 * others. A read that jumps gets the leaves that it needs; one that goes on gets twice as many each time. Pure.
 */
import { leafStreamsMax } from './limits.ts'

/** Leaves `begin` to `end`, without the last. */
export interface LeafWindow {
  readonly begin: number
  readonly end: number
}

export class LeafWindows {
  readonly #leaves: number
  readonly #leavesMax: number
  readonly #alignLeaves: number
  /** The latest last. */
  readonly #latest: LeafWindow[] = []

  /** @param alignLeaves windows begin and end at multiples of it, a power of two */
  constructor(leaves: number, leavesMax: number, alignLeaves: number) {
    this.#leaves = leaves
    this.#leavesMax = leavesMax
    this.#alignLeaves = alignLeaves
  }

  /** The windows that cover leaves `first` to `last`. Those that are on their way are the same objects. */
  of(first: number, last: number): LeafWindow[] {
    const found: LeafWindow[] = []
    for (let at = first; at <= last; ) {
      const window = this.#latest.find(({ begin, end }) => begin <= at && at < end) ?? this.#next(at, last)
      found.push(window)
      at = window.end
    }
    return found
  }

  #next(at: number, last: number): LeafWindow {
    const align = this.#alignLeaves
    const begin = at - (at % align)
    const before = this.#latest.find(({ end }) => end === begin)
    const ahead = before ? Math.min((before.end - before.begin) * 2, this.#leavesMax) : 1
    const wanted = Math.min(Math.max(ahead, last - begin + 1), this.#leavesMax)
    const end = Math.min(begin + Math.ceil(wanted / align) * align, this.#leaves)
    const window = { begin, end }
    this.#latest.push(window)
    if (this.#latest.length > leafStreamsMax) this.#latest.shift()
    return window
  }
}
