/**
 * Negative entries: names that an origin has just denied. For a moment neither we nor the kernel ask again, so that a
 * name that many ask for costs one request. An entry that is forgotten early is asked for again, no more.
 */
import { LruMap } from '../../base/lru-map.ts'
import { absentNamesMax } from './limits.ts'

export class NegativeNames {
  readonly #now: () => number
  /** Until when each is absent, in milliseconds. */
  readonly #untilMs: LruMap<string, number>

  /** @param now milliseconds, never going back */
  constructor(now: () => number, namesMax: number = absentNamesMax) {
    this.#now = now
    this.#untilMs = new LruMap(namesMax)
  }

  get size(): number {
    return this.#untilMs.size
  }

  /** It is absent for `ms` from now on. */
  add(name: string, ms: number): void {
    if (ms > 0) this.#untilMs.set(name, this.#now() + ms)
    else this.#untilMs.delete(name)
  }

  /** It is there now. */
  delete(name: string): void {
    this.#untilMs.delete(name)
  }

  /** The time for which it is still absent; 0 when it is to be asked for. */
  msLeft(name: string): number {
    const untilMs = this.#untilMs.get(name)
    if (untilMs === undefined) return 0
    const left = untilMs - this.#now()
    if (left > 0) return left
    this.#untilMs.delete(name)
    return 0
  }
}
