/**
 * Read-around: where misses cluster, as in the small steps of a boot, it fetches the neighbours of missed blocks too
 * (spatial locality).
 *
 * Their number is the caller's: read-around-budget.ts. It is off unless misses have neighbours more often than by
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
/** The share of the neighbours that lie before the missed block: those after it are read half as often again. */
const beforeShare = 1 / 3
/** The share that is fetched when a neighbour is read: a reader that comes so far goes on, and need not wait again. */
const furtherShare = 1 / 4

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

  /**
   * Note a read.
   * @param bytesMax neighbours of a miss that are worth fetching now; asked for only where misses cluster
   * @returns the blocks to fetch around it, itself included: those after it come first
   */
  observe({ from, to, missed }: SeenRead, bytesMax: () => number): readonly Span[] {
    if (missed) this.#note(from)
    if (!this.#isClustered()) return []
    const blocks = Math.floor(((missed ? 1 : furtherShare) * bytesMax()) / this.#blockBytes)
    if (blocks <= 0) return []
    const before = Math.floor(blocks * beforeShare)
    const after = { from, to: Math.min(this.#blocks, to + blocks - before) }
    return before > 0 && from > 0 ? [after, { from: Math.max(0, from - before), to: from }] : [after]
  }

  #note(block: number): void {
    const nearBlocks = nearBytes / this.#blockBytes
    const isClustered = this.#misses.some(miss => Math.abs(miss.block - block) <= nearBlocks)
    const chance = 1 - Math.exp((-this.#misses.length * (2 * nearBlocks + 1)) / this.#blocks)
    this.#misses.push({ block, isClustered, chance })
    if (this.#misses.length > missesMax) this.#misses.shift()
  }

  #isClustered(): boolean {
    const { length } = this.#misses
    if (length < missesMin) return false
    const share = this.#misses.filter(({ isClustered }) => isClustered).length / length
    const chance = this.#misses.reduce((sum, miss) => sum + miss.chance, 0) / length
    return share >= chance + clusteringMin * (1 - chance)
  }
}
