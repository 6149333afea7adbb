/**
 * Moved leaves: where an older version has a block with a given digest, at whatever offset. A table of fingerprints of
 * bounded size: what it says is proven like everything else.
 */
import { TimeSlice } from '../../async/time-slice.ts'
import type { ReadOptions } from '../contract/origin.ts'
import type { HashTree } from './hash-tree.ts'
import { movedLeavesMax } from './limits.ts'

export class MovedLeaves {
  /** Block and fingerprint in pairs; a block of 0 is empty, and blocks count from 1. */
  readonly #slots: Uint32Array
  readonly #mask: number
  #size = 0
  /** Blocks that found no room. */
  leftOut = 0

  constructor(blocks: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(2, Math.min(blocks, movedLeavesMax) * 2)))
    this.#slots = new Uint32Array(slots * 2)
    this.#mask = slots - 1
  }

  /** Take the leaves of a tree, as far as they are here without asking its origin. */
  async addAll(tree: HashTree, options: ReadOptions): Promise<void> {
    const { digestBytes } = tree.layout
    const slice = new TimeSlice(64)
    const { dataBlocks } = tree.parameters
    const perLeaf = tree.leafSpanBytes / tree.parameters.dataBlockBytes
    for (let leaf = 0; leaf * perLeaf < dataBlocks; leaf++) {
      if (slice.isOver) await slice.yield()
      if (options.signal.aborted) return
      const bytes = await tree.localLeaf(leaf, options)
      if (!bytes) continue
      const count = Math.min(perLeaf, dataBlocks - leaf * perLeaf)
      for (let k = 0; k < count; k++) this.#add(bytes, k * digestBytes, leaf * perLeaf + k)
    }
  }

  /** A block that has this digest, in all likelihood; null for none. */
  find(digests: Uint8Array, at: number): number | null {
    const fingerprint = wordAt(digests, at + 4)
    for (let slot = wordAt(digests, at) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const block = this.#slots[slot * 2]!
      if (block === 0) return null
      if (this.#slots[slot * 2 + 1] === fingerprint) return block - 1
    }
  }

  #add(digests: Uint8Array, at: number, block: number): void {
    if (this.#size >= movedLeavesMax || block >= 0xffff_ffff) {
      this.leftOut++
      return
    }
    const fingerprint = wordAt(digests, at + 4)
    let slot = wordAt(digests, at) & this.#mask
    while (this.#slots[slot * 2] !== 0) {
      if (this.#slots[slot * 2 + 1] === fingerprint) return
      slot = (slot + 1) & this.#mask
    }
    this.#slots[slot * 2] = block + 1
    this.#slots[slot * 2 + 1] = fingerprint
    this.#size++
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}
