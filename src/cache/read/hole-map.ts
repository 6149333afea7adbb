/**
 * Hole map of an image, for lseek. An extent counts as data unless it is known to be a hole: a hole that is called data
 * costs time, data that is called a hole is lost to a program that copies.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Image } from '../../base/image.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'

/** A stretch that is all data or all hole, and the first byte after it. */
export interface DataOrHole {
  readonly hole: boolean
  readonly end: number
}

/**
 * The extent at `offset`, which lies within the image: as the origin knows it, else by the blocks known to be zeros.
 */
export async function dataOrHoleAt(
  image: Image,
  offset: number,
  origin: Origin,
  stored: StoredImage | null,
  signal: CancelSignal,
): Promise<DataOrHole> {
  // An origin that is away knows nothing: that is no failure of the caller's.
  const known = await origin.extentAt(image, offset, { signal }).catch(() => null)
  if (known) return known
  return stored ? extentInStore(stored, offset) : { hole: false, end: image.sizeBytes }
}

/** Blocks that the store knows to be zeros are holes. */
function extentInStore(stored: StoredImage, offset: number): DataOrHole {
  const { blockBytes, sizeBytes, objects } = stored.geometry
  const isZero = (block: number) => ((stored.zero(Math.floor(block / 64)) >> BigInt(block % 64)) & 1n) === 1n
  const hole = isZero(Math.floor(offset / blockBytes))
  let block = Math.floor(offset / blockBytes) + 1
  while (block * blockBytes < sizeBytes && isZero(block) === hole) {
    const object = Math.floor(block / 64)
    // Objects without a zero block are data whole.
    if (!hole && block % 64 === 0 && object < objects && stored.zero(object) === 0n) block += 64
    else block++
  }
  return {
    hole,
    end: Math.min(block * blockBytes, sizeBytes),
  }
}
