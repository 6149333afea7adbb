/**
 * Tree builder: makes the hash tree of a file as `veritysetup format` does, byte by byte.
 *
 * Each level is hashed from the one below it, piece by piece, by as many threads as asked for; the next piece is read
 * meanwhile.
 */
import type { FileHandle } from 'node:fs/promises'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { throwIfAborted } from '../../base/errors.ts'
import { MiB } from '../../base/limits.ts'
import type { TreeProofs } from '../../native/tree-proof.ts'
import { formatSuperblock, type TreeParameters } from './superblock.ts'
import { type TreeLayout, treeLayoutOf } from './tree-layout.ts'
import { hashingOf } from './tree-runs.ts'

/** Bytes that one thread hashes of a piece: some milliseconds. */
const threadPieceBytes = 4 * MiB

export interface TreeBuilderOptions {
  readonly parameters: TreeParameters
  /** In hex, without dashes. */
  readonly uuid: string
  readonly threads: number
  readonly proofs: TreeProofs
  /** Hears of bytes of the image that were hashed. */
  readonly onProgress: (doneBytes: number) => void
}

/** A stretch of a file that is hashed, block by block. */
interface Below {
  readonly file: FileHandle
  readonly offset: number
  readonly blocks: number
  readonly blockBytes: number
}

export class TreeBuilder {
  readonly #options: TreeBuilderOptions
  readonly #layout: TreeLayout

  constructor(options: TreeBuilderOptions) {
    this.#options = options
    this.#layout = treeLayoutOf(options.parameters)
  }

  /**
   * Write the tree of `image` into `tree`.
   * @returns the root hash in hex
   * @throws CacheError aborted; SystemError; Error when the image becomes shorter meanwhile
   */
  async build(image: FileHandle, tree: FileHandle, options: { readonly signal: CancelSignal }): Promise<string> {
    const { parameters, uuid, onProgress } = this.#options
    const { dataBlockBytes, hashBlockBytes, dataBlocks } = parameters
    const superblock = formatSuperblock(parameters, uuid)
    // Levels end with zeros: they are a hole.
    await tree.truncate(this.#layout.bytes)
    await writeAll(tree, superblock, 0)
    let below: Below = { file: image, offset: 0, blocks: dataBlocks, blockBytes: dataBlockBytes }
    for (const [level, { blocks, offset }] of this.#layout.levels.entries()) {
      await this.#buildLevel(below, tree, offset, level === 0 ? onProgress : () => {}, options)
      below = { file: tree, offset, blocks, blockBytes: hashBlockBytes }
    }
    return (await this.#hash(await readBlocks(below, 0, 1), below.blockBytes)).toString('hex')
  }

  async #buildLevel(
    below: Below,
    tree: FileHandle,
    offset: number,
    onProgress: (bytes: number) => void,
    { signal }: { readonly signal: CancelSignal },
  ): Promise<void> {
    const pieceBlocks = Math.max(1, Math.floor((threadPieceBytes * this.#options.threads) / below.blockBytes))
    let reading = readBlocks(below, 0, pieceBlocks)
    for (let first = 0; first < below.blocks; first += pieceBlocks) {
      const bytes = await reading
      throwIfAborted(signal)
      const next = first + pieceBlocks
      if (next < below.blocks) reading = readBlocks(below, next, pieceBlocks)
      reading.catch(() => {}) // Its await sees the error, unless hashing fails first.
      const digests = await this.#hash(bytes, below.blockBytes)
      // Blocks and digests are powers of two: a level is its digests, one after the other.
      await writeAll(tree, digests, offset + first * this.#layout.digestBytes)
      onProgress(Math.min(next, below.blocks) * below.blockBytes)
    }
  }

  #hash(bytes: Buffer, blockBytes: number): Promise<Buffer> {
    const { proofs, parameters, threads } = this.#options
    return proofs.hashBlocks(hashingOf(parameters), bytes, blockBytes, threads)
  }
}

async function readBlocks({ file, offset, blocks, blockBytes }: Below, first: number, count: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(Math.min(count, blocks - first) * blockBytes)
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, offset + first * blockBytes + at)
    if (bytesRead === 0) throw new Error('the image has become shorter')
    at += bytesRead
  }
  return bytes
}

async function writeAll(file: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten
  }
}
