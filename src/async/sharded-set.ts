/**
 * Sharded set of very many strings that grows without a pause: a Set of a million rehashes all of them each time it
 * doubles, which takes some 100 ms; the shards of this one grow by themselves.
 */

/** A power of two: of a million strings each has four thousand. */
const partCount = 256

export class ShardedSet {
  readonly #parts: readonly Set<string>[] = Array.from({ length: partCount }, () => new Set<string>())
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The size of the largest shard. */
  get longest(): number {
    return Math.max(...this.#parts.map(part => part.size))
  }

  has(text: string): boolean {
    return this.#partOf(text).has(text)
  }

  /** @returns whether it was not there */
  add(text: string): boolean {
    const part = this.#partOf(text)
    const before = part.size
    const isNew = part.add(text).size > before
    if (isNew) this.#size++
    return isNew
  }

  /** FNV-1a. Source: Fowler, Noll and Vo; offset basis and prime of 32 bits. */
  #partOf(text: string): Set<string> {
    let hash = 0x811c9dc5
    for (let k = 0; k < text.length; k++) hash = Math.imul(hash ^ text.charCodeAt(k), 0x01000193)
    return this.#parts[(hash ^ (hash >>> 16)) & (partCount - 1)]!
  }
}
