/**
 * Boot profile: the blocks that are read in the first minutes after a cold open, in their order. Pure.
 *
 * Openers differ a little. Blocks that one of them did not read stay for a while, at the end; blocks that several in a
 * row did not read go.
 */

import type { ProfileRecord } from '../../index/format/records.ts'
import { profileRunsMax, profileStrikesMax } from '../fetch/limits.ts'
import type { ByteRange } from './profile-file.ts'
import type { Span } from './stream-detector.ts'

export class BootProfile {
  readonly blockBytes: number
  /** The number of openers that it was learned from. */
  readonly openers: number
  /** Blocks in the order of their first reads, and for how many openers in a row they have gone unread. */
  readonly #strikes: ReadonlyMap<number, number>

  private constructor(blockBytes: number, openers: number, strikes: ReadonlyMap<number, number>) {
    this.blockBytes = blockBytes
    this.openers = openers
    this.#strikes = strikes
  }

  /** As one opener read. @param blocks in the order of their first reads */
  static of(blockBytes: number, blocks: Iterable<number>): BootProfile {
    return new BootProfile(blockBytes, 1, new Map([...blocks].map(block => [block, 0])))
  }

  /** As it was kept; null where that was for other blocks, or is no profile. */
  static from({ blockBytes, openers, runs }: ProfileRecord, wantedBlockBytes: number): BootProfile | null {
    const isNumber = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
    if (blockBytes !== wantedBlockBytes || !isNumber(openers) || !Array.isArray(runs)) return null
    const strikes = new Map<number, number>()
    for (const run of runs) {
      if (!Array.isArray(run) || run.length !== 3 || !run.every(isNumber) || run[1] > 2 ** 20) return null
      for (let block = run[0]; block < run[0] + run[1]; block++) strikes.set(block, run[2])
    }
    return new BootProfile(blockBytes, openers, strikes)
  }

  /** As a published file says, of the blocks that its ranges touch. */
  static ofRanges(blockBytes: number, ranges: Iterable<ByteRange>): BootProfile {
    const blocks = new Set<number>()
    for (const [offset, length] of ranges) {
      for (let block = Math.floor(offset / blockBytes); block * blockBytes < offset + length; block++) blocks.add(block)
    }
    return BootProfile.of(blockBytes, blocks)
  }

  get blocks(): Iterable<number> {
    return this.#strikes.keys()
  }

  get bytes(): number {
    return this.#strikes.size * this.blockBytes
  }

  /** With what another opener read: in its order, and then what it did not read. */
  mergedWith(blocks: ReadonlySet<number>): BootProfile {
    const strikes = new Map<number, number>()
    for (const block of blocks) strikes.set(block, 0)
    for (const [block, before] of this.#strikes) {
      if (!blocks.has(block) && before < profileStrikesMax) strikes.set(block, before + 1)
    }
    return new BootProfile(this.blockBytes, this.openers + 1, strikes)
  }

  /** To be kept: the first runs, where there are too many. */
  get record(): ProfileRecord {
    const runs: [number, number, number][] = []
    for (const [block, strikes] of this.#strikes) {
      const last = runs.at(-1)
      if (last && last[0] + last[1] === block && last[2] === strikes) last[1]++
      else if (runs.length < profileRunsMax) runs.push([block, 1, strikes])
      else break
    }
    return { blockBytes: this.blockBytes, openers: this.openers, runs }
  }

  /**
   * The blocks below `end` in runs, as they are to be fetched: by and large in the order in which they were read, but
   * so many at a time in that of the disk, so that requests are large.
   */
  *spans(end: number, batchBlocks: number): Generator<Span> {
    const order = [...this.#strikes.keys()].filter(block => block < end)
    for (let at = 0; at < order.length; at += batchBlocks) {
      let span = null as { from: number; to: number } | null
      for (const block of order.slice(at, at + batchBlocks).sort((a, b) => a - b)) {
        if (span?.to === block) span.to++
        else {
          if (span) yield span
          span = { from: block, to: block + 1 }
        }
      }
      if (span) yield span
    }
  }
}
