/**
 * Block map of an image: the cached share, the temperature and the fetches of a range, in cells of a bounded number. It
 * only looks, and touches nothing.
 *
 * Each cell is one byte, and equal neighbours are one run, so that a map of 4 TiB is as long as one of 4 MiB. The walk
 * yields now and then: an image may have a million objects.
 */
import { TimeSlice } from '../../async/time-slice.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { throwIfAborted } from '../../base/errors.ts'
import { blocksPerObject, countOf, type Image, maskOf } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { tickMs } from '../evict/limits.ts'
import { blockMapCellsMax, hotMsMax } from './limits.ts'

/**
 * A cell is `held` eighths of it in the cache (0 none, 8 all, 1 to 7 a part), plus `hot` when an object of it was used
 * lately, plus `fetching` when a block of it is on its way.
 */
export const cellFlags = { hot: 16, fetching: 32 } as const

export interface BlockMap {
  readonly imageId: string
  readonly sizeBytes: number
  readonly blockBytes: number
  /** The range, in bytes: whole objects, and the last one cut at the end of the image. */
  readonly from: number
  readonly to: number
  readonly cellBytes: number
  readonly cells: number
  /** Cell and count, cell and count, ...: from the front to the end of the range. */
  readonly runs: readonly number[]
  readonly heldBytes: number
  readonly fetchingBytes: number
  /** Bytes held of objects by the time since their last use: up to a minute, ten, an hour, a day, and longer ago. */
  readonly ages: readonly number[]
}

/** Upper ends of the ages but the last, in milliseconds. */
export const ageMsMax = [60_000, 600_000, 3_600_000, 86_400_000] as const

export interface BlockMapOptions {
  /** Bytes within the image. */
  readonly from: number
  readonly to: number
  readonly signal: CancelSignal
}

/**
 * @param stored null: nothing of it is held
 * @param tick the tick of now, see cache/evict/recency-clock.ts
 * @throws CacheError aborted
 */
export async function blockMapOf(
  image: Image,
  stored: StoredImage | null,
  { blockBytes, tick }: { readonly blockBytes: number; readonly tick: number },
  { from, to, signal }: BlockMapOptions,
): Promise<BlockMap> {
  const objectBytes = blockBytes * blocksPerObject
  const first = Math.floor(Math.min(from, Math.max(0, image.sizeBytes - 1)) / objectBytes)
  const end = Math.max(first + 1, Math.ceil(Math.min(to, image.sizeBytes) / objectBytes))
  const grid = new Grid(first, end, Math.ceil(image.sizeBytes / blockBytes))
  const ages = new Array<number>(ageMsMax.length + 1).fill(0)
  let [heldBytes, fetchingBytes] = [0, 0]
  if (stored) {
    const slice = new TimeSlice(256)
    for (const object of heldWithin(stored, first, end)) {
      if (slice.isOver) {
        await slice.yield()
        throwIfAborted(signal)
      }
      const held = stored.held(object)
      const ageMs = Math.max(0, tick - stored.residency.lastUse(object)) * tickMs
      const bytes = countOf(held) * blockBytes
      heldBytes += bytes
      const age = ageMsMax.findIndex(max => ageMs <= max)
      ages[age < 0 ? ageMsMax.length : age]! += bytes
      grid.addHeld(object, held, ageMs <= hotMsMax)
    }
    for (const object of stored.claims.claimedObjects(first, end)) {
      const coming = stored.claims.claimed(object) & ~stored.residency.resident(object)
      fetchingBytes += countOf(coming) * blockBytes
      grid.addFetching(object, coming)
    }
  }
  return {
    ...{ imageId: image.id, sizeBytes: image.sizeBytes, blockBytes, from: first * objectBytes },
    to: Math.min(end * objectBytes, image.sizeBytes),
    ...{
      cellBytes: grid.cellBlocks * blockBytes,
      cells: grid.cells,
      runs: grid.runs(),
      heldBytes,
      fetchingBytes,
      ages,
    },
  }
}

/** Objects of the range that hold anything: of a short range by their numbers, else by those that are held. */
function* heldWithin(stored: StoredImage, first: number, end: number): Generator<number> {
  if (end - first <= blockMapCellsMax) {
    for (let object = first; object < end; object++) if (stored.held(object) !== 0n) yield object
    return
  }
  for (const object of stored.heldObjects()) if (object >= first && object < end) yield object
}

/** Cells over the objects from `first` to `end`. */
class Grid {
  readonly cellBlocks: number
  readonly cells: number
  readonly #firstBlock: number
  readonly #endBlock: number
  readonly #held: Uint32Array
  readonly #flags: Uint8Array

  constructor(first: number, end: number, imageBlocks: number) {
    this.#firstBlock = first * blocksPerObject
    this.#endBlock = Math.min(end * blocksPerObject, imageBlocks)
    const blocks = Math.max(0, this.#endBlock - this.#firstBlock)
    let cellBlocks = 1
    while (Math.ceil(blocks / cellBlocks) > blockMapCellsMax) cellBlocks *= 2
    this.cellBlocks = cellBlocks
    this.cells = Math.ceil(blocks / cellBlocks)
    this.#held = new Uint32Array(this.cells)
    this.#flags = new Uint8Array(this.cells)
  }

  addHeld(object: number, held: bigint, isHot: boolean): void {
    this.#each(object, held, (cell, blocks) => {
      this.#held[cell]! += blocks
      if (isHot) this.#flags[cell]! |= cellFlags.hot
    })
  }

  addFetching(object: number, blocks: bigint): void {
    this.#each(object, blocks, cell => {
      this.#flags[cell]! |= cellFlags.fetching
    })
  }

  runs(): number[] {
    const runs: number[] = []
    for (let cell = 0; cell < this.cells; cell++) {
      const value = this.#eighths(cell) | this.#flags[cell]!
      if (runs.length > 0 && runs.at(-2) === value) runs[runs.length - 1]!++
      else runs.push(value, 1)
    }
    return runs
  }

  /** The last cell may be shorter. */
  #eighths(cell: number): number {
    const start = this.#firstBlock + cell * this.cellBlocks
    const blocks = Math.min(this.cellBlocks, this.#endBlock - start)
    const held = this.#held[cell]!
    if (held === 0 || held >= blocks) return held === 0 ? 0 : 8
    return Math.min(7, Math.max(1, Math.round((8 * held) / blocks)))
  }

  #each(object: number, mask: bigint, add: (cell: number, blocks: number) => void): void {
    if (mask === 0n) return
    const start = object * blocksPerObject - this.#firstBlock
    const step = Math.min(this.cellBlocks, blocksPerObject)
    for (let first = 0; first < blocksPerObject; first += step) {
      const blocks = countOf(mask & maskOf({ first, count: step }))
      const cell = Math.floor((start + first) / this.cellBlocks)
      if (blocks > 0 && cell < this.cells) add(cell, blocks)
    }
  }
}
