/**
 * Hash tree of one image: its blocks are fetched as they are needed, proven up to the root hash, and kept.
 *
 * Blocks are looked for in memory, then by runs of neighbours (tree-runs.ts). Each is compared with the digest that the
 * level above has of it, wherever it comes from: no place is trusted. Leaves lie in the native proof, where session
 * threads find them; blocks above them in a map that all trees share.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { SingleFlight } from '../../async/single-flight.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { LruMap } from '../../base/lru-map.ts'
import type { TreeProof } from '../../native/tree-proof.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { LeafWindows } from './leaf-windows.ts'
import { treeRunBytes } from './limits.ts'
import type { TreeParameters } from './superblock.ts'
import { type TreeLayout, treeLayoutOf } from './tree-layout.ts'
import {
  hashingOf,
  type KeptLevels,
  keptAlignBytes,
  keptLevelsOf,
  type RunBlocks,
  TreeRuns,
  type TreeRunsContext,
} from './tree-runs.ts'

export interface HashTreeContext extends TreeRunsContext {
  /** Names the tree in messages. */
  readonly name: string
  /** Tells the blocks of trees apart in {@link upper}. */
  readonly id: string
  readonly upper: LruMap<string, Buffer>
}

export class HashTree {
  readonly parameters: TreeParameters
  readonly layout: TreeLayout
  readonly proof: TreeProof
  readonly rootHash: Buffer
  readonly #parts: HashTreeContext
  readonly #runBlocks: number
  readonly #runs: TreeRuns
  readonly #loads = new SingleFlight<RunBlocks>()
  /** Null where no other version has blocks: they are fetched in whole runs. */
  readonly #windows: LeafWindows | null
  readonly #stop = new LightAbortSignal()
  /** The run of leaves that was loaded last: the next one is loaded ahead. */
  #latestRun = -1
  #latestLeaf: { readonly leaf: number; readonly bytes: Uint8Array } | null = null

  /** @param offset of the superblock in its file */
  constructor(parameters: TreeParameters, rootHash: Buffer, offset: number, parts: HashTreeContext) {
    this.parameters = parameters
    this.layout = treeLayoutOf(parameters, offset)
    this.rootHash = rootHash
    this.#parts = parts
    const { hashBlockBytes } = parameters
    this.#runBlocks = Math.max(1, treeRunBytes / hashBlockBytes)
    this.#runs = new TreeRuns(parameters, this.layout, parts)
    const { digestsPerBlock, levels } = this.layout
    const align = Math.max(1, keptAlignBytes / hashBlockBytes)
    const leaves = levels[0]?.blocks ?? 0
    this.#windows = parts.alike.length === 0 ? null : new LeafWindows(leaves, this.#runBlocks, align)
    this.proof = parts.proofs.createTreeProof(hashingOf(parameters), {
      dataBlocks: parameters.dataBlocks,
      dataBlockBytes: parameters.dataBlockBytes,
      digestsPerLeaf: levels.length === 0 ? 1 : digestsPerBlock,
    })
  }

  /** The tree as it is kept. */
  get keptPart(): KeptLevels {
    return keptLevelsOf(this.parameters, this.#parts.kept)
  }

  /** Fires when it is closed. */
  get stop(): CancelSignal {
    return this.#stop
  }

  /** A leaf, as far as it is here without asking the origin; not to be changed. Never rejects. */
  async localLeaf(leaf: number, options: ReadOptions): Promise<Uint8Array | null> {
    if (this.#latestLeaf?.leaf === leaf) return this.#latestLeaf.bytes
    let bytes = this.proof.leaf(leaf)
    if (!bytes) {
      const offset = leaf * this.leafSpanBytes
      const length = Math.min(this.leafSpanBytes, this.layout.dataBytes - offset)
      await this.load(offset, length, options, true).catch(() => {}) // Then it is not here.
      bytes = this.proof.leaf(leaf)
    }
    if (bytes) this.#latestLeaf = { leaf, bytes }
    return bytes
  }

  /** Bytes of the image below one leaf. */
  get leafSpanBytes(): number {
    const { digestsPerBlock, levels } = this.layout
    return (levels.length === 0 ? 1 : digestsPerBlock) * this.parameters.dataBlockBytes
  }

  /**
   * Have the leaves of a range of the image in memory, proven.
   * @param isLocal without asking the origin
   * @throws CacheError image-corrupt when the tree does not fit its root hash, and what the origin throws
   */
  async load(offset: number, length: number, options: ReadOptions, isLocal = false): Promise<void> {
    const { proof, layout } = this
    if (length === 0 || offset >= layout.dataBytes || proof.knows(offset, length)) return
    if (layout.levels.length === 0) return proof.put(0, this.rootHash)
    const first = Math.floor(offset / this.leafSpanBytes)
    const last = Math.floor((Math.min(offset + length, layout.dataBytes) - 1) / this.leafSpanBytes)
    if (this.#windows && !isLocal) {
      const work = this.#windows.of(first, last).map(({ begin, end }) => this.#putLeaves(begin, end - begin, options))
      for (const missing of await Promise.all(work)) {
        const wanted = missing.find(leaf => leaf >= first && leaf <= last)
        if (wanted !== undefined) throw this.#corrupt(0, wanted)
      }
      return
    }
    for (let run = this.#runOf(first); run <= this.#runOf(last); run++) {
      const missing = await this.#putLeaves(run * this.#runBlocks, this.#runBlocks, options, isLocal)
      const wanted = missing.find(leaf => leaf >= first && leaf <= last)
      if (wanted !== undefined) throw this.#corrupt(0, wanted)
      if (!isLocal) this.#loadAhead(run)
    }
  }

  /** Have the blocks above the leaves of a range here. @throws CacheError as {@link load} */
  async loadAbove(offset: number, length: number, options: ReadOptions): Promise<void> {
    const { digestsPerBlock, levels, dataBytes } = this.layout
    const end = Math.min(offset + length, dataBytes)
    if (levels.length < 2 || offset >= end) return
    const bytes = this.leafSpanBytes * digestsPerBlock
    for (let above = Math.floor(offset / bytes); above * bytes < end; above++) {
      await this.#upper(1, above, options, false)
    }
  }

  /**
   * Put right blocks of the tree into bytes of its file: readers of an image with an appended tree get it proven.
   * @param offset of `target`, counted from the superblock
   */
  async copyTo(offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const { hashBlockBytes } = this.parameters
    for (const [level, { blocks, offset: begin }] of this.layout.levels.entries()) {
      const first = Math.max(0, Math.floor((offset - begin) / hashBlockBytes))
      const end = Math.min(blocks, Math.ceil((offset + target.length - begin) / hashBlockBytes))
      for (let block = first; block < end; block++) {
        const run = await this.#run(level, block - (block % this.#runBlocks), this.#runBlocks, options, false)
        const bytes = run[block % this.#runBlocks]
        if (!bytes) throw this.#corrupt(level, block)
        const at = begin + block * hashBlockBytes - offset
        target.set(bytes.subarray(Math.max(0, -at), Math.min(hashBlockBytes, target.length - at)), Math.max(0, at))
      }
    }
  }

  /** Is the block below the root hash there, and fits? @throws CacheError as {@link load} */
  async confirm(options: ReadOptions): Promise<void> {
    const top = this.layout.levels.length - 1
    if (top > 0) await this.#upper(top, 0, options, false)
    else await this.load(0, 1, options)
  }

  /** Ends what is loaded ahead. Idempotent. */
  close(): void {
    this.#stop.abort(new CacheError('closed', `${this.#parts.name}: the origin has been closed`))
  }

  #runOf(block: number): number {
    return Math.floor(block / this.#runBlocks)
  }

  /** A stream asks for the next run soon. */
  #loadAhead(run: number): void {
    const isNext = run === this.#latestRun + 1
    this.#latestRun = run
    const next = run + 1
    if (!isNext || next * this.#runBlocks >= this.layout.levels[0]!.blocks) return
    const { leafSpanBytes } = this
    const offset = next * this.#runBlocks * leafSpanBytes
    if (this.proof.knows(offset, 1)) return
    const work = this.#putLeaves(next * this.#runBlocks, this.#runBlocks, { signal: this.#stop })
    void work.catch(() => {}) // Its reader asks again, and hears of it.
  }

  /** @returns the leaves that no place has right */
  async #putLeaves(first: number, count: number, options: ReadOptions, isLocal = false): Promise<number[]> {
    const missing: number[] = []
    for (const [k, block] of (await this.#run(0, first, count, options, isLocal)).entries()) {
      if (block) this.proof.put(first + k, block)
      else missing.push(first + k)
    }
    return missing
  }

  async #upper(level: number, block: number, options: ReadOptions, isLocal: boolean): Promise<Buffer> {
    const known = this.#parts.upper.use(this.#keyOf(level, block))
    if (known) return known
    const first = block - (block % this.#runBlocks)
    const blocks = await this.#run(level, first, this.#runBlocks, options, isLocal)
    for (const [k, bytes] of blocks.entries()) {
      if (bytes) this.#parts.upper.set(this.#keyOf(level, first + k), bytes)
    }
    const found = blocks[block - first]
    if (!found) throw this.#corrupt(level, block)
    return found
  }

  #keyOf(level: number, block: number): string {
    return `${this.#parts.id} ${level} ${block}`
  }

  /** @param blocksMax fewer at the end of the level */
  #run(level: number, first: number, blocksMax: number, options: ReadOptions, isLocal: boolean): Promise<RunBlocks> {
    const count = Math.min(blocksMax, this.layout.levels[level]!.blocks - first)
    return this.#loads.run(`${level} ${first} ${count} ${isLocal}`, options.signal, async signal => {
      const own = { ...options, signal }
      const wanted = await this.#digestsOf(level, first, count, own, isLocal)
      return await this.#runs.load({ level, first, count, wanted }, own, isLocal)
    })
  }

  /** The digests that blocks must have, by the level above. */
  async #digestsOf(
    level: number,
    first: number,
    count: number,
    options: ReadOptions,
    isLocal: boolean,
  ): Promise<Buffer> {
    const { digestBytes, digestsPerBlock, levels } = this.layout
    if (level === levels.length - 1) return this.rootHash
    const parts: Buffer[] = []
    for (let block = first; block < first + count; ) {
      const above = Math.floor(block / digestsPerBlock)
      const end = Math.min(first + count, (above + 1) * digestsPerBlock)
      const parent = await this.#upper(level + 1, above, options, isLocal)
      parts.push(
        parent.subarray((block - above * digestsPerBlock) * digestBytes, (end - above * digestsPerBlock) * digestBytes),
      )
      block = end
    }
    return Buffer.concat(parts)
  }

  #corrupt(level: number, block: number): CacheError {
    const what = `${this.#parts.name}: block ${block} of level ${level} of its hash tree does not fit the root hash`
    return new CacheError('image-corrupt', `${what} ${this.rootHash.toString('hex')}: publish the tree of this image`)
  }
}
