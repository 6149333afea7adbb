/**
 * Runs of a hash tree: neighbouring blocks of one level, looked for on the cache's disk, in trees of other versions,
 * and at the origin, in this order. Each is compared with the digest that the level above has of it.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { BlockHashing, TreeProofs } from '../../native/tree-proof.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { damagedBlocksMax, treeRequestsMax, wrongAnswersMax } from './limits.ts'
import type { TreeParameters } from './superblock.ts'
import { type TreeLayout, treeLayoutOf } from './tree-layout.ts'

/** Blocks of a tree that are not trusted: a file on the disk of the cache. */
export interface KeptTree {
  /** False when there is nothing, or the disk does not give it. Never rejects. */
  read(offset: number, target: Uint8Array): Promise<boolean>
  /** Never rejects: what is not kept is fetched again. */
  write(offset: number, bytes: Uint8Array): Promise<void>
}

/** The places of the blocks of one tree, and those that hear of wrong ones. */
export interface TreeRunsContext {
  readonly proofs: TreeProofs
  readonly kept: KeptTree
  /** Trees of other versions, which have most of the same blocks at the same places. */
  readonly alike: readonly KeptLevels[]
  /** Fetch bytes of the tree, counted from its superblock. @throws CacheError as Origin.read */
  fetch(offset: number, target: Uint8Array, options: ReadOptions): Promise<void>
  /** An answer for the tree differed from what is proven. */
  onWrong(level: number, block: number): void
  /** A block on the cache's disk is not the one that was written there. */
  onKeptWrong(level: number, block: number): void
  /** Wait before blocks are asked for again of which `tries` answers were wrong. */
  pause(tries: number, signal: CancelSignal): Promise<void>
}

/** A kept tree, with the place of each level in it, and its end. */
export interface KeptLevels {
  readonly kept: KeptTree
  readonly offsets: readonly number[]
  readonly hashBlockBytes: number
}

/** Blocks `first` to `first + count` of a level, and the digests that they must have. */
export interface TreeRun {
  readonly level: number
  readonly first: number
  readonly count: number
  readonly wanted: Buffer
}

/** Null for a block that no place has right. */
export type RunBlocks = (Buffer | null)[]

/** Whole pages, where a block is less: the disk is written by them. */
export const keptAlignBytes = 4096

export class TreeRuns {
  readonly #parameters: TreeParameters
  readonly #layout: TreeLayout
  readonly #hashing: BlockHashing
  readonly #parts: TreeRunsContext
  readonly #keptPart: KeptLevels
  /** Blocks on the cache's disk that were found damaged, and not replaced since: each counts once. */
  readonly #damaged = new LruMap<string, true>(damagedBlocksMax)

  constructor(parameters: TreeParameters, layout: TreeLayout, parts: TreeRunsContext) {
    this.#parameters = parameters
    this.#layout = layout
    this.#hashing = hashingOf(parameters)
    this.#parts = parts
    this.#keptPart = keptLevelsOf(parameters, parts.kept)
  }

  /** @throws CacheError as the origin's reads */
  async load({ level, first, count, wanted }: TreeRun, options: ReadOptions, isLocal: boolean): Promise<RunBlocks> {
    const { hashBlockBytes } = this.#parameters
    const bytes = Buffer.alloc(Math.ceil((count * hashBlockBytes) / keptAlignBytes) * keptAlignBytes)
    const blocks: RunBlocks = Array.from({ length: count }, () => null)
    const { kept, alike } = this.#parts
    const keptOffset = keptOffsets(this.#parameters)[level]! + first * hashBlockBytes
    let isKept = true
    for (const place of [this.#keptPart, ...alike]) {
      if (!blocks.includes(null)) break
      const given = keptBytesAt(place, level, first * hashBlockBytes, bytes.length, hashBlockBytes)
      if (given && (await place.kept.read(given.offset, given.target))) {
        const whole = Math.min(count, Math.floor(given.target.length / hashBlockBytes))
        await this.#takeRight(given.target, 0, whole, wanted, bytes, blocks)
      }
      if (place.kept !== kept) continue
      isKept = !blocks.includes(null)
      if (given) this.#findDamage(level, first, given.target, blocks)
    }
    if (!isLocal) await this.#fetchMissing(level, first, wanted, bytes, blocks, options)
    if (isKept || blocks.includes(null)) return blocks
    await kept.write(keptOffset, bytes)
    for (const k of blocks.keys()) this.#damaged.delete(`${level} ${first + k}`)
    return blocks
  }

  /** Blocks that were written, and are others now: what was never written is zeros, which fit no digest. */
  #findDamage(level: number, first: number, given: Buffer, blocks: Readonly<RunBlocks>): void {
    const { hashBlockBytes } = this.#parameters
    for (const [k, block] of blocks.entries()) {
      if (block) continue
      const kept = given.subarray(k * hashBlockBytes, (k + 1) * hashBlockBytes)
      const key = `${level} ${first + k}`
      if (kept.length < hashBlockBytes || this.#damaged.has(key) || isZero(kept)) continue
      this.#damaged.set(key, true)
      this.#parts.onKeptWrong(level, first + k)
    }
  }

  /** Fetches runs of missing blocks, those that differ a few times. */
  async #fetchMissing(
    level: number,
    first: number,
    wanted: Buffer,
    bytes: Buffer,
    blocks: RunBlocks,
    options: ReadOptions,
  ): Promise<void> {
    const { hashBlockBytes } = this.#parameters
    for (let tries = 1; blocks.includes(null) && tries <= wrongAnswersMax; tries++) {
      if (tries > 1) await this.#parts.pause(tries - 1, options.signal)
      const gaps = gapsOf(blocks)
      const work = async () => {
        for (let gap = gaps.shift(); gap; gap = gaps.shift()) {
          const [begin, count] = gap
          const target = Buffer.allocUnsafe(count * hashBlockBytes)
          const offset = this.#layout.levels[level]!.offset + (first + begin) * hashBlockBytes
          await this.#parts.fetch(offset, target, { ...options, isProven: true, isDisputed: tries > 1 })
          await this.#takeRight(target, begin, count, wanted, bytes, blocks)
          for (let k = begin; k < begin + count; k++) if (blocks[k] === null) this.#parts.onWrong(level, first + k)
        }
      }
      const ended = await Promise.allSettled(Array.from({ length: treeRequestsMax }, work))
      for (const one of ended) if (one.status === 'rejected') throw one.reason
    }
  }

  /** Of `count` given blocks, take those that fit as blocks of the run from `at` on. */
  async #takeRight(
    given: Buffer,
    at: number,
    count: number,
    wanted: Buffer,
    bytes: Buffer,
    blocks: RunBlocks,
  ): Promise<void> {
    const { hashBlockBytes } = this.#parameters
    const { digestBytes } = this.#layout
    const whole = given.subarray(0, count * hashBlockBytes)
    const digests = await this.#parts.proofs.hashBlocks(this.#hashing, whole, hashBlockBytes, 1)
    for (let k = 0; k < count; k++) {
      if (blocks[at + k]) continue
      const place = (at + k) * digestBytes
      if (digests.compare(wanted, place, place + digestBytes, k * digestBytes, (k + 1) * digestBytes) !== 0) continue
      whole.copy(bytes, (at + k) * hashBlockBytes, k * hashBlockBytes, (k + 1) * hashBlockBytes)
      blocks[at + k] = bytes.subarray((at + k) * hashBlockBytes, (at + k + 1) * hashBlockBytes)
    }
  }
}

/** Runs of missing blocks: the first of each, and their count. */
function gapsOf(blocks: Readonly<RunBlocks>): (readonly [number, number])[] {
  const gaps: (readonly [number, number])[] = []
  for (let begin = 0, end = 0; begin < blocks.length; begin = end) {
    const isMissing = blocks[begin] === null
    for (end = begin + 1; end < blocks.length && (blocks[end] === null) === isMissing; ) end++
    if (isMissing) gaps.push([begin, end - begin])
  }
  return gaps
}

/** A look at each byte in JavaScript takes longer than the hash. */
function isZero(bytes: Buffer): boolean {
  return bytes[0] === 0 && bytes.compare(bytes, 1, bytes.length, 0, bytes.length - 1) === 0
}

/** The part of a kept tree that has the same place in its level; null where it has none. */
function keptBytesAt(
  { offsets, hashBlockBytes }: KeptLevels,
  level: number,
  at: number,
  length: number,
  blockBytes: number,
): { readonly offset: number; readonly target: Buffer } | null {
  const [begin, isLast] = [offsets[level], level >= offsets.length - 1]
  if (begin === undefined || isLast || hashBlockBytes !== blockBytes) return null
  // Levels lie the other way round: the one below comes next.
  const end = level === 0 ? offsets.at(-1)! : offsets[level - 1]!
  const bytes = Math.min(length, end - begin - at)
  return bytes > 0 ? { offset: begin + at, target: Buffer.alloc(bytes) } : null
}

export function hashingOf({ algorithm, salt, hashType }: TreeParameters): BlockHashing {
  return { algorithm, salt: Buffer.from(salt, 'hex'), isSaltBehind: hashType === 0 }
}

/** The tree as it is kept. */
export function keptLevelsOf(parameters: TreeParameters, kept: KeptTree): KeptLevels {
  return { kept, offsets: keptOffsets(parameters), hashBlockBytes: parameters.hashBlockBytes }
}

/** The bytes of the file in which a tree is kept. */
export function keptBytesOf(parameters: TreeParameters): number {
  return keptOffsets(parameters).at(-1)!
}

/** The offset of each level in that file, and its end. */
function keptOffsets(parameters: TreeParameters): number[] {
  const { levels } = treeLayoutOf(parameters)
  const offsets: number[] = []
  let end = 0
  for (let level = levels.length - 1; level >= 0; level--) {
    offsets[level] = end
    end += Math.ceil((levels[level]!.blocks * parameters.hashBlockBytes) / keptAlignBytes) * keptAlignBytes
  }
  offsets[levels.length] = end
  return offsets
}
