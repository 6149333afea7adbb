/**
 * Comparison of locations that have an image with its origin: block by block, those that hold it in part too. The
 * origin is read once for several of them.
 */
import { type CacheError, messageOf, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { comparedAtOnceMax, comparedBytes, differencesMax } from './limits.ts'

/** A stretch of a range, counted from its start. */
export interface HeldRange {
  readonly begin: number
  readonly end: number
}

/** The first look at a place: its digest is the origin's, its bytes are to be compared, or it has another image. */
export type Examination = 'digest' | 'bytes' | { readonly problem: string }

/** A place that has the image, or a part of it. */
export interface ComparablePlace {
  readonly url: string
  /** @throws CacheError aborted, and why it does not answer */
  examine(options: ReadOptions): Promise<Examination>
  /** Fill the parts of a range that it holds. @throws CacheError aborted, and why it does not answer */
  readHeld(offset: number, target: Uint8Array, options: ReadOptions): Promise<readonly HeldRange[]>
  /** Its bytes are not the origin's. */
  onDifferent(reason: string): void
}

/** The outcome of comparing all bytes. */
export interface ComparedLocation {
  readonly url: string
  /** By the digests that both publish, or by their bytes. */
  readonly by: 'digest' | 'bytes'
  /** First bytes of blocks that differ, at most 16, and the number of all of them. */
  readonly differences: readonly number[]
  readonly differingBlocks: number
  readonly comparedBytes: number
  /** Why it could not be compared, or differs as a whole; null: neither. */
  readonly problem: string | null
}

export type ComparisonOptions = ReadOptions & {
  readonly blockBytes: number
  readonly onBytes: (url: string, doneBytes: number) => void
}

/** The comparison of one place as it goes on. */
interface Comparison {
  readonly place: ComparablePlace
  readonly found: { -readonly [K in keyof ComparedLocation]: ComparedLocation[K] } & { differences: number[] }
}

/**
 * Compare places with the origin, in their order.
 * @throws CacheError aborted, and origin-* of the origin itself
 */
export async function compareLocations(
  image: Image,
  primary: Pick<Origin, 'read'>,
  places: readonly ComparablePlace[],
  options: ComparisonOptions,
): Promise<ComparedLocation[]> {
  const all: Comparison[] = []
  for (let first = 0; first < places.length; first += comparedAtOnceMax) {
    const some = places.slice(first, first + comparedAtOnceMax).map((place): Comparison => {
      const nothing = { differences: [], differingBlocks: 0, comparedBytes: 0, problem: null }
      return { place, found: { url: place.url, by: 'bytes', ...nothing } }
    })
    await Promise.all(some.map(each => examine(each, options)))
    await compareBytes(image, primary, some, options)
    all.push(...some)
  }
  return all.map(({ found }) => found)
}

async function examine({ place, found }: Comparison, { signal }: ReadOptions): Promise<void> {
  try {
    const examination = await place.examine({ signal })
    if (typeof examination === 'object') found.problem = examination.problem
    else found.by = examination
  } catch (error) {
    throwIfAborted(signal)
    found.problem = messageOf(error)
  }
}

async function compareBytes(
  image: Image,
  primary: Pick<Origin, 'read'>,
  all: readonly Comparison[],
  { signal, blockBytes, onBytes }: ComparisonOptions,
): Promise<void> {
  const pieceBytes = Math.max(comparedBytes, blockBytes)
  const ours = Buffer.allocUnsafeSlow(pieceBytes)
  const buffers = all.map(() => Buffer.allocUnsafeSlow(pieceBytes))
  const isCompared = ({ found }: Comparison) => found.by === 'bytes' && found.problem === null
  for (let at = 0; at < image.sizeBytes && all.some(isCompared); at += pieceBytes) {
    throwIfAborted(signal)
    const length = Math.min(pieceBytes, image.sizeBytes - at)
    const reading = all.map(async (each, k) => {
      if (!isCompared(each)) return []
      const theirs = buffers[k]!.subarray(0, length)
      return await each.place.readHeld(at, theirs, { signal }).catch((error: CacheError) => {
        each.found.problem = error.message
        return []
      })
    })
    const reads = Promise.all(reading)
    await primary.read(image, at, ours.subarray(0, length), { signal })
    const held = await reads
    throwIfAborted(signal)
    for (const [k, { place, found }] of all.entries()) {
      for (const range of held[k]!) compareRange(found, ours, buffers[k]!, range, at, blockBytes)
      if (found.by === 'bytes' && found.problem === null) onBytes(place.url, at + length)
    }
  }
  for (const { place, found } of all) {
    if (found.differingBlocks > 0) place.onDifferent(`${found.differingBlocks} of its blocks are others`)
  }
}

/** @param at of both buffers, within the image */
function compareRange(
  found: Comparison['found'],
  ours: Buffer,
  theirs: Buffer,
  { begin, end }: HeldRange,
  at: number,
  blockBytes: number,
): void {
  for (let block = begin; block < end; block += blockBytes) {
    const blockEnd = Math.min(block + blockBytes, end)
    found.comparedBytes += blockEnd - block
    if (ours.compare(theirs, block, blockEnd, block, blockEnd) === 0) continue
    if (found.differences.length < differencesMax) found.differences.push(at + block)
    found.differingBlocks++
  }
}
