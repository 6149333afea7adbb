/**
 * Comparison of an image at two places: by size and digest, else by samples, or block by block.
 */
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { comparedBytes, differencesMax, locationSamplesMin, sampleBytes } from './limits.ts'

/** The same image as a location knows it, with the validator there. */
export type LocatedImage =
  | { readonly image: Image; readonly difference: null }
  | { readonly image: null; readonly difference: string }

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

/**
 * Look an image up at a location, and compare size, digest and samples; of an image whose bytes are proven the size
 * alone.
 * @throws CacheError origin-*, aborted: nothing is known then
 */
export async function locateImage(
  image: Image,
  primary: Origin,
  location: Origin,
  random: () => number,
  options: ReadOptions,
): Promise<LocatedImage> {
  const found = identify(await location.lookup(image.key, options))
  if (found.sizeBytes !== image.sizeBytes) {
    return { image: null, difference: `it has ${found.sizeBytes} bytes, and not ${image.sizeBytes}` }
  }
  if (options.isProven) return { image: found, difference: null }
  if ((await digestsAgree(image, found, primary, location, options)) === false) {
    return { image: null, difference: 'its digest is another' }
  }
  for (const offset of samplePlaces(image.sizeBytes, random)) {
    const length = Math.min(sampleBytes, image.sizeBytes - offset)
    if (length > 0 && !(await isSame(image, found, { primary, location, offset, length }, options))) {
      return { image: null, difference: `its bytes from ${offset} on are others` }
    }
  }
  return { image: found, difference: null }
}

/** Does a range have the same bytes at both? @throws CacheError origin-*, image-changed, aborted */
export async function isSame(
  image: Image,
  located: Image,
  {
    primary,
    location,
    offset,
    length,
  }: { readonly primary: Origin; readonly location: Origin; readonly offset: number; readonly length: number },
  options: ReadOptions,
): Promise<boolean> {
  const [ours, theirs] = [Buffer.allocUnsafeSlow(length), Buffer.allocUnsafeSlow(length)]
  await Promise.all([primary.read(image, offset, ours, options), location.read(located, offset, theirs, options)])
  return ours.equals(theirs)
}

/**
 * Compare a location with the origin: by their digests where both publish one of a kind, else every block.
 * @throws CacheError aborted, and origin-* of the origin itself
 */
export async function compareLocation(
  image: Image,
  primary: Origin,
  location: Origin,
  {
    signal,
    blockBytes,
    onBytes,
  }: ReadOptions & { readonly blockBytes: number; readonly onBytes: (doneBytes: number) => void },
): Promise<ComparedLocation> {
  const nothing = { url: location.url, by: 'bytes', differences: [], differingBlocks: 0, comparedBytes: 0 } as const
  let found: Image
  try {
    found = identify(await location.lookup(image.key, { signal }))
  } catch (error) {
    throwIfAborted(signal)
    if (error instanceof CacheError) return { ...nothing, problem: error.message }
    throw error
  }
  if (found.sizeBytes !== image.sizeBytes) {
    return { ...nothing, problem: `it has ${found.sizeBytes} bytes, and not ${image.sizeBytes}` }
  }
  const agree = await digestsAgree(image, found, primary, location, { signal })
  if (agree === true) return { ...nothing, by: 'digest', problem: null }
  return await compareBytes(image, found, { primary, location, blockBytes }, { signal, onBytes, nothing })
}

async function compareBytes(
  image: Image,
  found: Image,
  { primary, location, blockBytes }: { primary: Origin; location: Origin; blockBytes: number },
  {
    signal,
    onBytes,
    nothing,
  }: ReadOptions & { onBytes: (doneBytes: number) => void; nothing: Omit<ComparedLocation, 'problem'> },
): Promise<ComparedLocation> {
  const differences: number[] = []
  let differingBlocks = 0
  const pieceBytes = Math.max(comparedBytes, blockBytes)
  const [ours, theirs] = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)]
  for (let at = 0; at < image.sizeBytes; at += pieceBytes) {
    throwIfAborted(signal)
    const length = Math.min(pieceBytes, image.sizeBytes - at)
    const reading = location.read(found, at, theirs.subarray(0, length), { signal }).then(
      () => null,
      (error: Error) => error.message,
    )
    await primary.read(image, at, ours.subarray(0, length), { signal })
    const problem = await reading
    if (problem !== null) return { ...nothing, differences, differingBlocks, comparedBytes: at, problem }
    for (let block = 0; block < length; block += blockBytes) {
      const end = Math.min(block + blockBytes, length)
      if (ours.compare(theirs, block, end, block, end) === 0) continue
      if (differences.length < differencesMax) differences.push(at + block)
      differingBlocks++
    }
    onBytes(at + length)
  }
  return { ...nothing, differences, differingBlocks, comparedBytes: image.sizeBytes, problem: null }
}

/** @returns null where they do not publish digests of one kind */
async function digestsAgree(image: Image, found: Image, primary: Origin, location: Origin, options: ReadOptions) {
  const of = (origin: Origin, at: Image) => origin.digest(at, options).catch(() => null)
  const [ours, theirs] = await Promise.all([of(primary, image), of(location, found)])
  throwIfAborted(options.signal)
  return ours && theirs && ours.algorithm === theirs.algorithm ? ours.hex === theirs.hex : null
}

/** The first and the last bytes, and some between. */
function samplePlaces(sizeBytes: number, random: () => number): number[] {
  const last = Math.max(0, Math.floor((sizeBytes - 1) / sampleBytes))
  const between = Array.from({ length: locationSamplesMin - 2 }, () => Math.floor(random() * last))
  return [...new Set([0, last, ...between])].map(sample => sample * sampleBytes)
}
