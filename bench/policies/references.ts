/**
 * Policies from the literature, each as its paper states it: LRU, S3-FIFO, 2Q, ARC, and the optimum that knows the
 * future. Units are numbers below the footprint; all have one size.
 */
import { Queue } from './queue.ts'

/** A cache that only counts. */
export interface Simulated {
  /** Ask for a unit, which is in the cache afterwards. @returns whether it was there before */
  ask(unit: number): boolean
}

export type SimulatedFactory = (capacity: number, footprint: number, references: Uint32Array) => Simulated

export class Lru implements Simulated {
  readonly #capacity: number
  readonly #queue: Queue

  constructor(capacity: number, footprint: number) {
    this.#capacity = capacity
    this.#queue = new Queue(footprint)
  }

  ask(unit: number): boolean {
    const hit = this.#queue.has(unit)
    if (hit) this.#queue.remove(unit)
    else if (this.#queue.size === this.#capacity) this.#queue.shift()
    this.#queue.push(unit)
    return hit
  }
}

/**
 * Source: Yang and others, "FIFO queues are all you need for cache eviction", SOSP 23: a tenth is the small queue,
 * frequencies go to 3, the ghost queue has as many entries as the main queue.
 */
export class S3Fifo implements Simulated {
  readonly #smallMax: number
  readonly #capacity: number
  readonly #ghostMax: number
  readonly #small: Queue
  readonly #main: Queue
  readonly #ghost: Queue
  readonly #uses: Uint8Array

  constructor(capacity: number, footprint: number) {
    this.#capacity = capacity
    this.#smallMax = Math.max(1, Math.floor(capacity / 10))
    this.#ghostMax = capacity - this.#smallMax
    this.#small = new Queue(footprint)
    this.#main = new Queue(footprint)
    this.#ghost = new Queue(footprint)
    this.#uses = new Uint8Array(footprint)
  }

  ask(unit: number): boolean {
    if (this.#small.has(unit) || this.#main.has(unit)) {
      this.#uses[unit] = Math.min(3, this.#uses[unit]! + 1)
      return true
    }
    while (this.#small.size + this.#main.size >= this.#capacity) this.#evict()
    this.#uses[unit] = 0
    if (this.#ghost.has(unit)) {
      this.#ghost.remove(unit)
      this.#main.push(unit)
    } else {
      this.#small.push(unit)
    }
    return false
  }

  #evict(): void {
    if (this.#small.size >= this.#smallMax || this.#main.size === 0) this.#evictSmall()
    else this.#evictMain()
  }

  #evictSmall(): void {
    while (this.#small.size > 0) {
      const unit = this.#small.shift()
      if (this.#uses[unit]! > 1) {
        this.#uses[unit] = 0
        this.#main.push(unit)
        continue
      }
      if (this.#ghost.size === this.#ghostMax && this.#ghostMax > 0) this.#ghost.shift()
      if (this.#ghostMax > 0) this.#ghost.push(unit)
      return
    }
    this.#evictMain()
  }

  #evictMain(): void {
    while (this.#main.size > 0) {
      const unit = this.#main.shift()
      if (this.#uses[unit] === 0) return
      this.#uses[unit]!--
      this.#main.push(unit)
    }
  }
}

/**
 * Source: Johnson and Shasha, "2Q: A Low Overhead High Performance Buffer Management Replacement Algorithm", VLDB 94;
 * its full version.
 */
export class TwoQ implements Simulated {
  readonly #capacity: number
  readonly #inMax: number
  readonly #outMax: number
  readonly #in: Queue
  readonly #out: Queue
  readonly #main: Queue

  constructor(capacity: number, footprint: number) {
    this.#capacity = capacity
    this.#inMax = Math.max(1, Math.floor(capacity / 4))
    this.#outMax = Math.max(1, Math.floor(capacity / 2))
    this.#in = new Queue(footprint)
    this.#out = new Queue(footprint)
    this.#main = new Queue(footprint)
  }

  ask(unit: number): boolean {
    if (this.#main.has(unit)) {
      this.#main.remove(unit)
      this.#main.push(unit)
      return true
    }
    if (this.#in.has(unit)) return true
    const remembered = this.#out.has(unit)
    if (this.#in.size + this.#main.size === this.#capacity) this.#evict()
    if (remembered) {
      if (this.#out.has(unit)) this.#out.remove(unit)
      this.#main.push(unit)
    } else {
      this.#in.push(unit)
    }
    return false
  }

  #evict(): void {
    if (this.#in.size > this.#inMax || this.#main.size === 0) {
      const unit = this.#in.shift()
      if (this.#out.size === this.#outMax) this.#out.shift()
      this.#out.push(unit)
    } else {
      this.#main.shift()
    }
  }
}

/** Source: Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 03, figure 4. */
export class Arc implements Simulated {
  readonly #capacity: number
  #recentWanted = 0
  readonly #recent: Queue
  readonly #frequent: Queue
  readonly #recentGhost: Queue
  readonly #frequentGhost: Queue

  constructor(capacity: number, footprint: number) {
    this.#capacity = capacity
    this.#recent = new Queue(footprint)
    this.#frequent = new Queue(footprint)
    this.#recentGhost = new Queue(footprint)
    this.#frequentGhost = new Queue(footprint)
  }

  ask(unit: number): boolean {
    const known = [this.#recent, this.#frequent].find(queue => queue.has(unit))
    if (known) {
      known.remove(unit)
      this.#frequent.push(unit)
      return true
    }
    const [recentGhosts, frequentGhosts] = [this.#recentGhost.size, this.#frequentGhost.size]
    if (this.#recentGhost.has(unit)) {
      const step = Math.max(1, frequentGhosts / recentGhosts)
      this.#recentWanted = Math.min(this.#capacity, this.#recentWanted + step)
      this.#replace(false)
      this.#recentGhost.remove(unit)
      this.#frequent.push(unit)
    } else if (this.#frequentGhost.has(unit)) {
      const step = Math.max(1, recentGhosts / frequentGhosts)
      this.#recentWanted = Math.max(0, this.#recentWanted - step)
      this.#replace(true)
      this.#frequentGhost.remove(unit)
      this.#frequent.push(unit)
    } else {
      this.#makeRoom()
      this.#recent.push(unit)
    }
    return false
  }

  #makeRoom(): void {
    const recentAll = this.#recent.size + this.#recentGhost.size
    const all = recentAll + this.#frequent.size + this.#frequentGhost.size
    if (recentAll === this.#capacity) {
      if (this.#recent.size < this.#capacity) {
        this.#recentGhost.shift()
        this.#replace(false)
      } else {
        this.#recent.shift()
      }
    } else if (all >= this.#capacity) {
      if (all === 2 * this.#capacity) this.#frequentGhost.shift()
      this.#replace(false)
    }
  }

  #replace(askedFrequentGhost: boolean): void {
    if (this.#recent.size + this.#frequent.size < this.#capacity) return
    const size = this.#recent.size
    const takeRecent = size > this.#recentWanted || (askedFrequentGhost && size === Math.floor(this.#recentWanted))
    if (size > 0 && (takeRecent || this.#frequent.size === 0)) this.#recentGhost.push(this.#recent.shift())
    else this.#frequentGhost.push(this.#frequent.shift())
  }
}
