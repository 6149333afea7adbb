/**
 * Read-around: where misses cluster, as in the small steps of a boot, it fetches the neighbours of missed blocks too
 * (spatial locality).
 *
 * Their number depends on the number of near misses lately. It is off unless misses have neighbours more often than by
 * chance: uniformly random reads over a large image have few. Pure.
 */
import type { SeenRead, Span } from './stream-detector.ts'

/** The distance that counts as near, in bytes. */
const nearBytes = 1024 * 1024
/** Misses that are remembered, and by which clustering is judged. */
const missesMax = 64
const missesMin = 8
/** The clustering above chance that it takes, as a share of the possible. */
const clusteringMin = 0.3
/** Neighbours to fetch: some, more for each miss that was near, up to a bound. */
const neighbourBytes = 128 * 1024
const neighbourBytesPerMiss = 128 * 1024
const neighbourBytesMax = 256 * 1024
/** Bytes fetched before a missed block, as a share of those fetched after it. */
const beforeShare = 0.5
/** Bytes fetched behind a neighbour when that is read: a reader that comes so far goes on, and need not wait again. */
const furtherBytes = 128 * 1024

/** One miss, and how it lay. */
interface Miss {
  readonly block: number
  /** Was another one near it? */
  readonly isClustered: boolean
  /** The probability of that by chance. */
  readonly chance: number
}

export class ReadAround {
  readonly #blocks: number
  readonly #blockBytes: number
  readonly #misses: Miss[] = []

  /** @param blocks of the image, each of `blockBytes` */
  constructor(blocks: number, blockBytes: number) {
    this.#blocks = blocks
    this.#blockBytes = blockBytes
  }

  /** Note a read. @returns the blocks to fetch around it, itself included; null for none */
  observe({ from, to, missed }: SeenRead): Span | null {
    return missed ? this.#aroundMiss(from, to) : this.#behind(from, to)
  }

  #behind(from: number, to: number): Span | null {
    const after = Math.floor(furtherBytes / this.#blockBytes)
    return after > 0 && this.#isClustered() ? { from, to: Math.min(this.#blocks, to + after) } : null
  }

  #aroundMiss(from: number, to: number): Span | null {
    const nearBlocks = nearBytes / this.#blockBytes
    const near = this.#misses.filter(({ block }) => Math.abs(block - from) <= nearBlocks).length
    const chance = 1 - Math.exp((-this.#misses.length * (2 * nearBlocks + 1)) / this.#blocks)
    this.#misses.push({ block: from, isClustered: near > 0, chance })
    if (this.#misses.length > missesMax) this.#misses.shift()
    if (!this.#isClustered()) return null
    const bytes = Math.min(neighbourBytesMax, neighbourBytes + near * neighbourBytesPerMiss)
    const after = Math.floor(bytes / this.#blockBytes)
    if (after === 0) return null
    return { from: Math.max(0, from - Math.round(after * beforeShare)), to: Math.min(this.#blocks, to + after) }
  }

  #isClustered(): boolean {
    const { length } = this.#misses
    if (length < missesMin) return false
    const share = this.#misses.filter(({ isClustered }) => isClustered).length / length
    const chance = this.#misses.reduce((sum, miss) => sum + miss.chance, 0) / length
    return share >= chance + clusteringMin * (1 - chance)
  }
}
