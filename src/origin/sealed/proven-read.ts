/**
 * Proven read: fills a range of a sealed image, from an older version where that has equal blocks, else from the
 * origin, and proves it. What does not fit is fetched again, a few times.
 */
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { deltaRequestsMax, wrongAnswersMax } from './limits.ts'
import type { Seal } from './seal.ts'
import { urlOfKey } from './verify-options.ts'
import type { DeltaRun } from './version-delta.ts'
import type { WrongBlocks } from './wrong-blocks.ts'

export interface ProvenRead {
  readonly image: Image
  readonly seal: Seal
  /** At block borders, or up to the end of the image. */
  readonly offset: number
  readonly target: Uint8Array
}

/** The hash tree is not what it was: its file was replaced. */
export class TreeChangedError extends CacheError {}

/** @throws CacheError image-corrupt; TreeChangedError; and what the origin throws */
export async function readProven(
  origin: Pick<Origin, 'read'>,
  read: ProvenRead,
  wrongBlocks: WrongBlocks,
  options: ReadOptions,
): Promise<void> {
  const { image, seal, offset, target } = read
  // An older version that gave a wrong block is not asked again.
  let usesDelta = seal.delta !== null
  let isFilled = false
  for (let tries = 1; ; ) {
    // An answer that was wrong is asked for elsewhere.
    const asked = { ...options, isProven: true, isDisputed: tries > 1 }
    if (!isFilled) await (usesDelta ? fillByDelta(origin, read, asked) : fill(origin, read, asked))
    isFilled = false
    const { proof, block } = await seal.tree.proof.find(offset, target)
    if (proof === 'right') return await proveTail(read, options)
    if (proof === 'unknown') {
      // Its leaf has left memory meanwhile.
      await load(read, options)
      isFilled = true
      continue
    }
    if (usesDelta) {
      usesDelta = false
      continue
    }
    await wrongBlocks.count(image, seal.tree, offset, target)
    if (tries === wrongAnswersMax) throw wrongBlocks.error(image, seal.tree, block, tries)
    await wrongBlocks.pause(tries, options.signal)
    throwIfAborted(options.signal)
    tries++
  }
}

/** The bytes and their leaves, together: both have ended when this throws. */
async function fill(origin: Pick<Origin, 'read'>, read: ProvenRead, options: ReadOptions): Promise<void> {
  const { image, seal, offset, target } = read
  // Most reads of a stream find their leaves in memory.
  if (seal.tree.proof.knows(offset, target.length)) return await origin.read(image, offset, target, options)
  const [loaded, filled] = await Promise.allSettled([load(read, options), origin.read(image, offset, target, options)])
  if (filled.status === 'rejected') throw filled.reason
  if (loaded.status === 'rejected') throw loaded.reason
}

/** The leaves say what is fetched. */
async function fillByDelta(origin: Pick<Origin, 'read'>, read: ProvenRead, options: ReadOptions): Promise<void> {
  const { image, seal, offset, target } = read
  await load(read, options)
  const runs = await seal.delta!.runsOf(offset, target.length, options)
  const part = (run: DeltaRun) => target.subarray(run.offset - offset, run.offset - offset + run.length)
  const work = async () => {
    for (let run = runs.shift(); run; run = runs.shift()) {
      if (await seal.delta!.take(run, part(run))) continue
      await origin.read(image, run.offset, part(run), options)
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: deltaRequestsMax }, work))
  for (const one of ended) if (one.status === 'rejected') throw one.reason
}

async function load({ image, seal, offset, target }: ProvenRead, options: ReadOptions): Promise<void> {
  try {
    await seal.tree.load(offset, target.length, options)
  } catch (error) {
    if (!isCacheError(error, 'image-changed', 'not-found')) throw error
    const what = `${urlOfKey(image.origin, image.key)}: its hash tree was replaced while it was read`
    throw new TreeChangedError('origin-failed', what, { cause: error })
  }
}

/** Behind the data lies the tree, where it is appended: readers get it as it was proven. */
async function proveTail({ seal, offset, target }: ProvenRead, options: ReadOptions): Promise<void> {
  const behind = offset + target.length - seal.tree.layout.dataBytes
  if (behind <= 0) return
  const tail = target.subarray(Math.max(0, target.length - behind))
  await seal.tree.copyTo(offset + target.length - tail.length - seal.record.offset, tail, options)
}
