/**
 * Hash tree of one image: its blocks are fetched as they are needed, proven up to the root hash, and kept.
 *
 * Blocks are looked for in memory, on the cache's disk, in trees of other versions, and at the origin, in this order.
 * Each is compared with the digest that the level above has of it, wherever it comes from: no place is trusted. Leaves
 * lie in the native proof, where session threads find them; blocks above them in a map that all trees share.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { SingleFlight } from '../../async/single-flight.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { BlockHashing, TreeProof, TreeProofs } from '../../native/tree-proof.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { damagedBlocksMax, treeRunBytes, wrongAnswersMax } from './limits.ts'
import type { TreeParameters } from './superblock.ts'
import { type TreeLayout, treeLayoutOf } from './tree-layout.ts'

/** Blocks of a tree that are not trusted: a file on the disk of the cache. */
export interface KeptTree {
  /** False when there is nothing, or the disk does not give it. Never rejects. */
  read(offset: number, target: Uint8Array): Promise<boolean>
  /** Never rejects: what is not kept is fetched again. */
  write(offset: number, bytes: Uint8Array): Promise<void>
}

export interface HashTreeContext {
  /** Names the tree in messages. */
  readonly name: string
  /** Tells the blocks of trees apart in {@link upper}. */
  readonly id: string
  readonly proofs: TreeProofs
  readonly upper: LruMap<string, Buffer>
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

/** Whole pages, where a block is less: the disk is written by them. */
const keptAlignBytes = 4096

export class HashTree {
  readonly parameters: TreeParameters
  readonly layout: TreeLayout
  readonly proof: TreeProof
  readonly rootHash: Buffer
  readonly #parts: HashTreeContext
  readonly #hashing: BlockHashing
  readonly #runBlocks: number
  readonly #runs = new SingleFlight<(Buffer | null)[]>()
  readonly #stop = new LightAbortSignal()
  /** Blocks on the cache's disk that were found damaged, and not replaced since: each counts once. */
  readonly #damaged = new LruMap<string, true>(damagedBlocksMax)
  /** The run of leaves that was loaded last: the next one is loaded ahead. */
  #latestRun = -1
  #latestLeaf: { readonly leaf: number; readonly bytes: Uint8Array } | null = null

  /** @param offset of the superblock in its file */
  constructor(parameters: TreeParameters, rootHash: Buffer, offset: number, parts: HashTreeContext) {
    this.parameters = parameters
    this.layout = treeLayoutOf(parameters, offset)
    this.rootHash = rootHash
    this.#parts = parts
    this.#hashing = hashingOf(parameters)
    this.#runBlocks = Math.max(1, treeRunBytes / parameters.hashBlockBytes)
    const { digestsPerBlock, levels } = this.layout
    this.proof = parts.proofs.createTreeProof(this.#hashing, {
      dataBlocks: parameters.dataBlocks,
      dataBlockBytes: parameters.dataBlockBytes,
      digestsPerLeaf: levels.length === 0 ? 1 : digestsPerBlock,
    })
  }

  /** The tree as it is kept. */
  get keptPart(): KeptLevels {
    const { parameters } = this
    return { kept: this.#parts.kept, offsets: keptOffsets(parameters), hashBlockBytes: parameters.hashBlockBytes }
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
    for (let run = this.#runOf(first); run <= this.#runOf(last); run++) {
      const begin = run * this.#runBlocks
      const blocks = await this.#run(0, run, options, isLocal)
      for (const [k, block] of blocks.entries()) {
        if (block) proof.put(begin + k, block)
        else if (begin + k >= first && begin + k <= last) throw this.#corrupt(0, begin + k)
      }
      if (!isLocal) this.#loadAhead(run)
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
        const run = await this.#run(level, this.#runOf(block), options, false)
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
    const load = async () => {
      const blocks = await this.#run(0, next, { signal: this.#stop }, false)
      for (const [k, block] of blocks.entries()) if (block) this.proof.put(next * this.#runBlocks + k, block)
    }
    void load().catch(() => {}) // Its reader asks again, and hears of it.
  }

  async #upper(level: number, block: number, options: ReadOptions, isLocal: boolean): Promise<Buffer> {
    const known = this.#parts.upper.use(this.#keyOf(level, block))
    if (known) return known
    const run = this.#runOf(block)
    const blocks = await this.#run(level, run, options, isLocal)
    for (const [k, bytes] of blocks.entries()) {
      if (bytes) this.#parts.upper.set(this.#keyOf(level, run * this.#runBlocks + k), bytes)
    }
    const found = blocks[block - run * this.#runBlocks]
    if (!found) throw this.#corrupt(level, block)
    return found
  }

  #keyOf(level: number, block: number): string {
    return `${this.#parts.id} ${level} ${block}`
  }

  #run(level: number, run: number, options: ReadOptions, isLocal: boolean): Promise<(Buffer | null)[]> {
    return this.#runs.run(`${level} ${run} ${isLocal}`, options.signal, signal =>
      this.#loadRun(level, run, { ...options, signal }, isLocal),
    )
  }

  /** The blocks of a run; null for one that no place has right. */
  async #loadRun(level: number, run: number, options: ReadOptions, isLocal: boolean): Promise<(Buffer | null)[]> {
    const { hashBlockBytes } = this.parameters
    const first = run * this.#runBlocks
    const count = Math.min(this.#runBlocks, this.layout.levels[level]!.blocks - first)
    const wanted = await this.#digestsOf(level, first, count, options, isLocal)
    const bytes = Buffer.alloc(Math.ceil((count * hashBlockBytes) / keptAlignBytes) * keptAlignBytes)
    const blocks: (Buffer | null)[] = Array.from({ length: count }, () => null)
    const { kept, alike } = this.#parts
    const keptOffset = this.#keptOffset(level) + first * hashBlockBytes
    let isKept = true
    for (const place of [this.keptPart, ...alike]) {
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
    for (const k of blocks.keys()) this.#damaged.delete(this.#keyOf(level, first + k))
    return blocks
  }

  /** Blocks that were written, and are others now: what was never written is zeros, which fit no digest. */
  #findDamage(level: number, first: number, given: Buffer, blocks: readonly (Buffer | null)[]): void {
    const { hashBlockBytes } = this.parameters
    for (const [k, block] of blocks.entries()) {
      if (block) continue
      const kept = given.subarray(k * hashBlockBytes, (k + 1) * hashBlockBytes)
      const key = this.#keyOf(level, first + k)
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
    blocks: (Buffer | null)[],
    options: ReadOptions,
  ): Promise<void> {
    const { hashBlockBytes } = this.parameters
    for (let tries = 1; blocks.includes(null) && tries <= wrongAnswersMax; tries++) {
      if (tries > 1) await this.#parts.pause(tries - 1, options.signal)
      for (let begin = 0, end = 0; begin < blocks.length; begin = end) {
        const isMissing = blocks[begin] === null
        for (end = begin + 1; end < blocks.length && (blocks[end] === null) === isMissing; ) end++
        if (!isMissing) continue
        const target = Buffer.allocUnsafe((end - begin) * hashBlockBytes)
        const offset = this.layout.levels[level]!.offset + (first + begin) * hashBlockBytes
        await this.#parts.fetch(offset, target, { ...options, isProven: true, isDisputed: tries > 1 })
        await this.#takeRight(target, begin, end - begin, wanted, bytes, blocks)
        for (let k = begin; k < end; k++) if (blocks[k] === null) this.#parts.onWrong(level, first + k)
      }
    }
  }

  /** Of `count` given blocks, take those that fit as blocks of the run from `at` on. */
  async #takeRight(
    given: Buffer,
    at: number,
    count: number,
    wanted: Buffer,
    bytes: Buffer,
    blocks: (Buffer | null)[],
  ): Promise<void> {
    const { hashBlockBytes } = this.parameters
    const { digestBytes } = this.layout
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

  /** Levels begin at whole pages there, the last one first. */
  #keptOffset(level: number): number {
    return keptOffsets(this.parameters)[level]!
  }

  #corrupt(level: number, block: number): CacheError {
    const what = `${this.#parts.name}: block ${block} of level ${level} of its hash tree does not fit the root hash`
    return new CacheError('image-corrupt', `${what} ${this.rootHash.toString('hex')}: publish the tree of this image`)
  }
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
