/**
 * A cache of units with parentfs' own eviction: above its high watermark, down to the low one, in one choice.
 */
import type { EvictionPolicy } from '../../src/cache/evict/eviction-policy.ts'

/** A unit, as a policy sees an object. */
export interface Unit {
  readonly stored: object
  readonly object: number
  lastUse: number
  readonly bytes: 1
}

/** Of what lies below the ceiling, as by default. */
const lowShare = 0.9 / 0.95

export class OwnPolicy {
  readonly #policy: EvictionPolicy<Unit>
  readonly #high: number
  readonly #low: number
  readonly #image = {}
  readonly #units = new Map<number, Unit>()
  #now = 0

  constructor(policy: EvictionPolicy<Unit>, capacity: number) {
    this.#policy = policy
    this.#high = capacity
    this.#low = Math.min(capacity - 1, Math.floor(capacity * lowShare))
  }

  /** @returns how many references hit */
  async hits(references: Uint32Array): Promise<number> {
    let hits = 0
    for (const unit of references) {
      const known = this.#units.get(unit)
      this.#now++
      if (known) known.lastUse = this.#now
      if (known) hits++
      else await this.#bring(unit)
    }
    return hits
  }

  async #bring(unit: number): Promise<void> {
    if (this.#units.size >= this.#high) {
      const chosen = await this.#policy.choose(() => this.#units.values(), this.#units.size - this.#low)
      for (const { object } of chosen) this.#units.delete(object)
    }
    this.#units.set(unit, { stored: this.#image, object: unit, lastUse: this.#now, bytes: 1 })
  }
}
