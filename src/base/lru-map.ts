/**
 * LRU map: a map with a bound, of which the least recently used entries leave first. An entry is used when it is set
 * and by `use`; `get` only looks.
 */

export interface LruMapOptions<K, V> {
  /** The part of the bound that an entry takes; 1 each by default. It must not change while the entry is here. */
  readonly weightOf?: (value: V, key: K) => number
  /** False for an entry that has to stay for now, whatever the bound says. */
  readonly mayLeave?: (value: V, key: K) => boolean
  /** Hears of each entry that left to keep the bound, after it has. It must not throw. */
  readonly onLeave?: (value: V, key: K) => void
}

export class LruMap<K, V> {
  readonly #weightMax: number
  readonly #options: LruMapOptions<K, V>
  /** The least recently used first. */
  readonly #entries = new Map<K, V>()
  // INVARIANT: #weight is the sum over #entries; after a set it is <= #weightMax, or all but the newest must stay.
  #weight = 0

  /** @param weightMax entries, or the sum of their weights; one that weighs more is here alone */
  constructor(weightMax: number, options: LruMapOptions<K, V> = {}) {
    this.#weightMax = weightMax
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /** The sum of the weights. */
  get weight(): number {
    return this.#weight
  }

  has(key: K): boolean {
    return this.#entries.has(key)
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  /** The value, which is the most recently used from now on. */
  use(key: K): V | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  /** Add or replace an entry. It is the most recently used from now on; others leave where the bound wants it. */
  set(key: K, value: V): void {
    this.delete(key)
    this.#entries.set(key, value)
    this.#weight += this.#weightOf(value, key)
    if (this.#weight > this.#weightMax) this.#makeRoom(key)
  }

  delete(key: K): boolean {
    const value = this.#entries.get(key)
    if (!this.#entries.delete(key)) return false
    this.#weight -= this.#weightOf(value as V, key)
    return true
  }

  /** The least recently used first. What is used meanwhile comes again at the end. */
  keys(): MapIterator<K> {
    return this.#entries.keys()
  }

  values(): MapIterator<V> {
    return this.#entries.values()
  }

  #weightOf(value: V, key: K): number {
    return this.#options.weightOf?.(value, key) ?? 1
  }

  #makeRoom(newest: K): void {
    const { mayLeave, onLeave } = this.#options
    for (const [key, value] of this.#entries) {
      if (this.#weight <= this.#weightMax || key === newest) return
      if (mayLeave && !mayLeave(value, key)) continue
      this.delete(key)
      onLeave?.(value, key)
    }
  }
}
