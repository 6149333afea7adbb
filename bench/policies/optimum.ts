/**
 * The offline optimum for units of one size: what is asked for latest from now on goes first.
 * Source: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5 (1966).
 */

/** @returns how many references hit */
export function optimalHits(references: Uint32Array, footprint: number, capacity: number): number {
  const nextUse = nextUses(references, footprint)
  const heap = new LatestFirst(footprint)
  let hits = 0
  for (let at = 0; at < references.length; at++) {
    const unit = references[at]!
    if (heap.has(unit)) hits++
    else if (heap.size === capacity) heap.takeLatest()
    heap.set(unit, nextUse[at]!)
  }
  return hits
}

/** For each reference when the same unit is asked for again; the length of the trace when it is not. */
function nextUses(references: Uint32Array, footprint: number): Uint32Array {
  const last = new Uint32Array(footprint).fill(references.length)
  const next = new Uint32Array(references.length)
  for (let at = references.length - 1; at >= 0; at--) {
    const unit = references[at]!
    next[at] = last[unit]!
    last[unit] = at
  }
  return next
}

/** A binary heap of units by next use, the latest on top, that knows where each unit is. */
class LatestFirst {
  readonly #units: number[] = []
  readonly #places: Int32Array
  readonly #uses: Uint32Array

  constructor(footprint: number) {
    this.#places = new Int32Array(footprint).fill(-1)
    this.#uses = new Uint32Array(footprint)
  }

  get size(): number {
    return this.#units.length
  }

  has(unit: number): boolean {
    return this.#places[unit]! >= 0
  }

  set(unit: number, nextUse: number): void {
    this.#uses[unit] = nextUse
    if (!this.has(unit)) {
      this.#places[unit] = this.#units.length
      this.#units.push(unit)
    }
    // Its next use is later than the one that has just come, so it can only rise.
    this.#rise(this.#places[unit]!)
  }

  takeLatest(): void {
    const top = this.#units[0]!
    const last = this.#units.pop()!
    this.#places[top] = -1
    if (last === top) return
    this.#put(0, last)
    this.#sink(0)
  }

  #put(place: number, unit: number): void {
    this.#units[place] = unit
    this.#places[unit] = place
  }

  #use(place: number): number {
    return this.#uses[this.#units[place]!]!
  }

  #rise(from: number): void {
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      if (this.#use(above) >= this.#use(place)) return
      this.#swap(above, place)
      place = above
    }
  }

  #sink(from: number): void {
    let place = from
    for (;;) {
      let latest = place
      for (const below of [2 * place + 1, 2 * place + 2]) {
        if (below < this.#units.length && this.#use(below) > this.#use(latest)) latest = below
      }
      if (latest === place) return
      this.#swap(latest, place)
      place = latest
    }
  }

  #swap(a: number, b: number): void {
    const [unitA, unitB] = [this.#units[a]!, this.#units[b]!]
    this.#put(a, unitB)
    this.#put(b, unitA)
  }
}
