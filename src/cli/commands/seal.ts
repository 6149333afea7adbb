/**
 * `parentfs seal`: makes the hash tree of an image, to be published beside it, and prints its root hash.
 *
 * The tree appears under its name when it is whole: it is written beside it, synced and renamed. An interrupted run
 * leaves nothing.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, resolve } from 'node:path'
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import { loadAddon } from '../../native/addon.ts'
import { treeBlockBytesMin } from '../../origin/sealed/limits.ts'
import type { TreeAlgorithm } from '../../origin/sealed/superblock.ts'
import { TreeBuilder } from '../../origin/sealed/tree-builder.ts'
import { treeSuffix } from '../../origin/sealed/verify-options.ts'
import { interruptedExitCode } from '../output/exit-codes.ts'
import { createProgressView } from '../output/progress.ts'
import { say } from '../output/terminal-output.ts'
import { sealSaltBytes } from './limits.ts'

export interface SealArguments {
  readonly image: string
  /** Null: beside the image. */
  readonly out: string | null
  /** In hex; empty for none, null for a random one. */
  readonly salt: string | null
  readonly algorithm: TreeAlgorithm
  readonly dataBlockBytes: number
  readonly hashBlockBytes: number
  /** Null: a random one. */
  readonly uuid: string | null
}

/**
 * @returns the exit code
 * @throws CacheError invalid-argument when the image is no file, has no whole number of blocks, or cannot be read or
 * written
 */
export async function sealImage(args: SealArguments): Promise<number> {
  const addon = loadAddon()
  const complaint = addon.verityComplaint()
  if (complaint !== '') throw new CacheError('invalid-argument', `${args.image} cannot be sealed: ${complaint}`)
  const out = resolve(args.out ?? `${args.image}${treeSuffix}`)
  const unfinished = `${out}.${process.pid}.new`
  const progress = await createProgressView()
  const left = new AbortController()
  const leave = () => left.abort()
  process.once('SIGINT', leave)
  process.once('SIGTERM', leave)
  let image: FileHandle | null = null
  let tree: FileHandle | null = null
  try {
    await mustBeFile(args.image, out)
    image = await open(args.image, 'r')
    const { size: sizeBytes } = await image.stat()
    const { algorithm, dataBlockBytes, hashBlockBytes } = args
    const dataBlocks = wholeBlocks(args.image, sizeBytes, dataBlockBytes)
    const salt = args.salt ?? randomBytes(sealSaltBytes).toString('hex')
    tree = await open(unfinished, 'w+', 0o644)
    const name = basename(args.image)
    const builder = new TreeBuilder({
      parameters: { hashType: 1, algorithm, dataBlockBytes, hashBlockBytes, dataBlocks, salt },
      uuid: (args.uuid ?? randomUUID()).replaceAll('-', ''),
      threads: availableParallelism(),
      proofs: addon,
      onProgress: doneBytes => progress.update({ name, phase: 'sealing', doneBytes, totalBytes: sizeBytes }),
    })
    const rootHash = await builder.build(image, tree, { signal: left.signal })
    await tree.sync()
    await rename(unfinished, out)
    progress.stop()
    say(rootHash)
    return 0
  } catch (error) {
    if (tree) await rm(unfinished, { force: true })
    if (isCacheError(error, 'aborted')) return interruptedExitCode
    if (error instanceof CacheError) throw error
    const what = `${args.image} cannot be sealed: ${messageOf(error)}`
    throw new CacheError('invalid-argument', what, { cause: error })
  } finally {
    progress.stop()
    process.off('SIGINT', leave)
    process.off('SIGTERM', leave)
    await image?.close()
    await tree?.close()
  }
}

/** The open of a pipe would wait for a writer, and a device has no size. */
async function mustBeFile(image: string, out: string): Promise<void> {
  const found = await stat(image)
  if (!found.isFile()) throw new CacheError('invalid-argument', `${image} cannot be sealed: it is no file`)
  const other = await stat(out).catch(() => null) // Not there, or the tree cannot be written: that is said then.
  if (!other) return
  if (!other.isFile()) {
    throw new CacheError('invalid-argument', `${image} cannot be sealed: ${out} is no file, and not replaced by one`)
  }
  if (other.dev !== found.dev || other.ino !== found.ino) return
  throw new CacheError('invalid-argument', `${image} cannot be sealed: --out is the image itself, and not overwritten`)
}

/** veritysetup leaves the rest out of the tree: nothing would prove it. */
function wholeBlocks(image: string, sizeBytes: number, blockBytes: number): number {
  if (sizeBytes === 0) throw new CacheError('invalid-argument', `${image} cannot be sealed: it is empty`)
  if (sizeBytes % blockBytes === 0) return sizeBytes / blockBytes
  const has = `${image} has ${sizeBytes} bytes, which are no whole blocks of ${blockBytes}`
  const smaller = sizeBytes % treeBlockBytesMin === 0 ? `give --data-block-size ${treeBlockBytesMin}, or ` : ''
  throw new CacheError('invalid-argument', `${has}: ${smaller}make the image longer`)
}
