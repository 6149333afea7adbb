/**
 * Layout of a hash tree: its levels, and the place of each block behind the superblock. Pure.
 *
 * Level 0 has the leaves, whose digests are those of data blocks; the last level is one block, whose digest is the root
 * hash. The file has the last level first. A tree over a single data block has no levels: its root hash is that of the
 * block. Source: cryptsetup lib/verity/verity_hash.c, hash_levels.
 */
import { superblockBytes, treeLevelsMax } from './limits.ts'
import { digestBytesOf, type TreeParameters } from './superblock.ts'

export interface TreeLevel {
  readonly blocks: number
  /** The first byte, counted from the beginning of the superblock. */
  readonly offset: number
}

export interface TreeLayout {
  readonly digestBytes: number
  /** Digests in a block: a power of two. */
  readonly digestsPerBlock: number
  readonly levels: readonly TreeLevel[]
  /** From the superblock to the end of the tree. */
  readonly bytes: number
  /** The bytes of the image that it covers. */
  readonly dataBytes: number
}

type Shape = Omit<TreeParameters, 'salt' | 'hashType'>

/** @param superblockOffset in its file: blocks of the tree begin at multiples of their size there */
export function treeLayoutOf(
  { algorithm, dataBlockBytes, hashBlockBytes, dataBlocks }: Shape,
  superblockOffset = 0,
): TreeLayout {
  const digestBytes = digestBytesOf[algorithm]
  const digestsPerBlock = 2 ** Math.floor(Math.log2(hashBlockBytes / digestBytes))
  const counts: number[] = []
  for (let below = dataBlocks; below > 1; ) {
    below = Math.ceil(below / digestsPerBlock)
    counts.push(below)
  }
  if (counts.length > treeLevelsMax) throw new Error(`${counts.length} levels, at most ${treeLevelsMax}`)
  const levels: TreeLevel[] = []
  const behind = superblockOffset + superblockBytes
  let offset = Math.ceil(behind / hashBlockBytes) * hashBlockBytes - superblockOffset
  for (const [level, blocks] of [...counts.entries()].reverse()) {
    levels[level] = { blocks, offset }
    offset += blocks * hashBlockBytes
  }
  return { digestBytes, digestsPerBlock, levels, bytes: offset, dataBytes: dataBlocks * dataBlockBytes }
}
