/**
 * Delta between two sealed versions of a name: the blocks of the new one that the older one has, at the same place or
 * at another. Both trees say so before a byte is fetched. Nothing is trusted: what is taken is proven again.
 */
import { pause } from '../../async/pause.ts'
import { TimeSlice } from '../../async/time-slice.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Image } from '../../base/image.ts'
import type { OriginReader } from '../../native/origin-reader.ts'
import type { UnitPermitTables } from '../../native/unit-permits.ts'
import type { ReadOptions } from '../contract/origin.ts'
import { FreshStretches } from './fresh-stretches.ts'
import type { HashTree } from './hash-tree.ts'
import { movedWaitMs } from './limits.ts'
import { MovedLeaves } from './moved-leaves.ts'
import { TakenBlocks } from './taken-blocks.ts'

/** Images that the cache holds. */
export interface HeldVersions {
  /** Other versions of the image's name with bytes in the store, the one with the most first. */
  olderThan(image: Image): readonly Image[]
  /** Does it hold all of a range? */
  holds(imageId: string, offset: number, length: number): boolean
  /** Fill the target with held bytes; false when they are not there any more. Never rejects. */
  read(imageId: string, offset: number, target: Uint8Array): Promise<boolean>
}

export const nothingHeld: HeldVersions = { olderThan: () => [], holds: () => false, read: async () => false }

/** A run of blocks of a range: from `source` on in the older version, or from the origin where that is null. */
export interface DeltaRun {
  readonly offset: number
  readonly length: number
  readonly source: number | null
}

/** The comparison of two whole trees, in bytes of the new version. */
export interface DeltaCost {
  readonly sameBytes: number
  readonly movedBytes: number
  readonly changedBytes: number
}

export interface ComparedVersions {
  readonly older: Image
  readonly cost: DeltaCost
}

export class Delta {
  readonly older: Image
  readonly #olderTree: HashTree
  readonly #tree: HashTree
  readonly #held: HeldVersions
  readonly #moved: MovedLeaves
  readonly taken: TakenBlocks
  readonly #fresh: FreshStretches
  readonly #building: Promise<void>
  #isBuilt = false
  #takenBytes = 0

  /** @param signal ends the reading of the older tree */
  constructor(
    tree: HashTree,
    older: Image,
    olderTree: HashTree,
    { held, tables, signal }: { readonly held: HeldVersions; readonly tables: UnitPermitTables; signal: CancelSignal },
  ) {
    this.#tree = tree
    this.older = older
    this.#olderTree = olderTree
    this.#held = held
    this.taken = new TakenBlocks(older.id, olderTree.parameters.dataBlockBytes)
    this.#moved = new MovedLeaves(olderTree.parameters.dataBlocks)
    this.#fresh = new FreshStretches(tree.layout.dataBytes, tables)
    const build = async () => {
      await this.#moved.addAll(olderTree, { signal })
      this.#isBuilt = true
    }
    this.#building = build().catch(() => {})
  }

  /** The same reader, for stretches that the older version has nothing of; null: none are told. */
  guard(reader: OriginReader): OriginReader | null {
    return this.#fresh.guard(reader)
  }

  /** Bytes that came from the older version. */
  get takenBytes(): number {
    return this.#takenBytes
  }

  /**
   * The runs of a range, whose leaves are in memory: at block borders, or at the end of the data.
   */
  async runsOf(offset: number, length: number, options: ReadOptions): Promise<DeltaRun[]> {
    // A long table is not waited for: what it would have found is fetched.
    await Promise.race([this.#building, pause(movedWaitMs, options.signal)])
    const runs = await this.#compare(offset, length, options)
    if (this.#isBuilt) void this.#lookAround(offset, length) // Never rejects.
    return runs
  }

  /** Leaves cover more than a read: what is fresh around it is told. Nothing is fetched for that. */
  async #lookAround(offset: number, length: number): Promise<void> {
    const options = { signal: this.#tree.stop }
    for (const range of this.#fresh.unseen(offset, length)) {
      if (await this.#isHere(range.offset, range.length, options)) {
        this.#fresh.compared(await this.#compare(range.offset, range.length, options))
      } else this.#fresh.unsee(range.offset)
    }
  }

  async #compare(offset: number, length: number, options: ReadOptions): Promise<DeltaRun[]> {
    const { dataBlockBytes } = this.#tree.parameters
    const runs: DeltaRun[] = []
    const end = Math.min(offset + length, this.#tree.layout.dataBytes)
    for (let at = offset; at < end; at += dataBlockBytes) {
      const source = await this.#heldSource(at / dataBlockBytes, options)
      const bytes = Math.min(dataBlockBytes, end - at)
      const latest = runs.at(-1)
      const goesOn =
        latest &&
        (source === null ? latest.source === null : latest.source !== null && latest.source + latest.length === source)
      if (goesOn) runs[runs.length - 1] = { ...latest, length: latest.length + bytes }
      else runs.push({ offset: at, length: bytes, source })
    }
    if (end < offset + length) runs.push({ offset: end, length: offset + length - end, source: null })
    return runs
  }

  /** Take a run from the older version. @returns false when it is not there any more */
  async take({ offset, source, length }: DeltaRun, target: Uint8Array): Promise<boolean> {
    if (source === null || !(await this.#held.read(this.older.id, source, target))) return false
    this.taken.note(offset, length, source)
    this.#takenBytes += length
    return true
  }

  /** Is the comparison of a range here? The origin is asked for blocks above the leaves alone. */
  async isKnown(offset: number, length: number, options: ReadOptions): Promise<boolean> {
    await this.#tree.loadAbove(offset, length, options)
    return await this.#isHere(offset, length, options)
  }

  async #isHere(offset: number, length: number, options: ReadOptions): Promise<boolean> {
    const { leafSpanBytes, layout } = this.#tree
    const end = Math.min(offset + length, layout.dataBytes)
    for (let leaf = Math.floor(offset / leafSpanBytes); leaf * leafSpanBytes < end; leaf++) {
      if (!(await this.#tree.localLeaf(leaf, options))) return false
    }
    return true
  }

  /** Have the comparison of a range here. @throws CacheError as HashTree.load */
  async load(offset: number, length: number, options: ReadOptions): Promise<void> {
    await this.#tree.load(offset, length, options)
  }

  /** Compare all leaves; the origin is asked for what differs in the trees. @throws CacheError as HashTree.load */
  async cost(options: ReadOptions): Promise<DeltaCost> {
    await this.#building
    const { dataBlockBytes, dataBlocks } = this.#tree.parameters
    const slice = new TimeSlice(64)
    let [sameBytes, movedBytes, changedBytes] = [0, 0, 0]
    const perLeaf = this.#tree.leafSpanBytes / dataBlockBytes
    for (let block = 0; block < dataBlocks; block++) {
      if (slice.isOver) await slice.yield()
      if (block % perLeaf === 0) await this.#tree.load(block * dataBlockBytes, this.#spanOf(block, perLeaf), options)
      const source = await this.#sourceOf(block, options)
      if (source === null) changedBytes += dataBlockBytes
      else if (source === block * dataBlockBytes) sameBytes += dataBlockBytes
      else movedBytes += dataBlockBytes
    }
    return { sameBytes, movedBytes, changedBytes }
  }

  #spanOf(block: number, perLeaf: number): number {
    const { dataBlockBytes, dataBlocks } = this.#tree.parameters
    return Math.min(perLeaf, dataBlocks - block) * dataBlockBytes
  }

  async #heldSource(block: number, options: ReadOptions): Promise<number | null> {
    const source = await this.#sourceOf(block, options)
    const { dataBlockBytes } = this.#tree.parameters
    return source !== null && this.#held.holds(this.older.id, source, dataBlockBytes) ? source : null
  }

  /** The offset of an equal block in the older version; null for none that is known. */
  async #sourceOf(block: number, options: ReadOptions): Promise<number | null> {
    const tree = this.#tree
    const { dataBlockBytes } = tree.parameters
    const { digestBytes } = tree.layout
    const perLeaf = tree.leafSpanBytes / dataBlockBytes
    const leaf = Math.floor(block / perLeaf)
    const digests = await tree.localLeaf(leaf, options)
    if (!digests) return null
    const at = (block % perLeaf) * digestBytes
    if (block < this.#olderTree.parameters.dataBlocks) {
      const others = await this.#olderTree.localLeaf(leaf, options)
      if (others && isEqual(digests, others, at, digestBytes)) return block * dataBlockBytes
    }
    const found = this.#moved.find(digests, at)
    return found === null ? null : found * dataBlockBytes
  }
}

function isEqual(one: Uint8Array, other: Uint8Array, at: number, length: number): boolean {
  for (let k = at; k < at + length; k++) if (one[k] !== other[k]) return false
  return true
}
