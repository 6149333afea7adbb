/**
 * Comparison of an image at two places: by size and digest, else by samples.
 */
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import type { ComparablePlace } from './compare-locations.ts'
import { locationSamplesMin, sampleBytes } from './limits.ts'

/** The same image as a location knows it, with the validator there. */
export type LocatedImage =
  | { readonly image: Image; readonly difference: null }
  | { readonly image: null; readonly difference: string }

/**
 * Look an image up at a location, by its key there, and compare size, digest and samples; of an image whose bytes are
 * proven the size alone.
 * @throws CacheError origin-*, aborted: nothing is known then
 */
export async function locateImage(
  image: Image,
  primary: Origin,
  { location, key }: { readonly location: Origin; readonly key: string },
  random: () => number,
  options: ReadOptions,
): Promise<LocatedImage> {
  const { isSequential, ...facts } = await location.lookup(key, options)
  if (isSequential) throw new CacheError('origin-unsupported', `${location.url}: sends no ranges of it`)
  const found = identify(facts)
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
 * A location as a place to be compared: by its digest where both publish one of a kind, else by its bytes.
 */
export function comparableLocation(
  image: Image,
  primary: Origin,
  { location, key, onDifferent }: { location: Origin; key: string; onDifferent: (reason: string) => void },
): ComparablePlace {
  let found: Image | null = null
  return {
    url: location.url,
    examine: async ({ signal }) => {
      found = identify(await location.lookup(key, { signal }))
      if (found.sizeBytes !== image.sizeBytes) {
        const problem = `it has ${found.sizeBytes} bytes, and not ${image.sizeBytes}`
        onDifferent(problem)
        return { problem }
      }
      return (await digestsAgree(image, found, primary, location, { signal })) === true ? 'digest' : 'bytes'
    },
    readHeld: async (offset, target, { signal }) => {
      await location.read(found!, offset, target, { signal })
      return [{ begin: 0, end: target.length }]
    },
    onDifferent,
  }
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
