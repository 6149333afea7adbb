/**
 * Pieces of an image as they arrive from fetches, and an answer put together from them and from the store.
 */

import { abortable } from '../../async/abortable.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { InflightFetch } from '../fetch/inflight-fetch.ts'

/** Bytes that arrived for a place in the image. */
export interface ReceivedRange {
  readonly offset: number
  readonly length: number
  readonly bytes: Uint8Array
}

function receivedRangeOf(stored: StoredImage, inflight: InflightFetch): Promise<ReceivedRange> {
  const { offset, length } = stored.geometry.bytesOf(inflight.object, inflight.run)
  return inflight.arrival.then(bytes => ({ offset, length, bytes }))
}

/** Pieces that lie side by side in one buffer, as the parts of what was fetched ahead do, as one; null for others. */
export function coalesce(pieces: readonly ReceivedRange[]): ReceivedRange | null {
  const [first, ...others] = pieces
  if (!first) return null
  let { length } = first
  for (const { offset, length: more, bytes } of others) {
    const follows = offset === first.offset + length && bytes.byteOffset === first.bytes.byteOffset + length
    if (!follows || bytes.buffer !== first.bytes.buffer) return null
    length += more
  }
  const bytes = new Uint8Array(first.bytes.buffer, first.bytes.byteOffset, length)
  return { offset: first.offset, length, bytes }
}

/** Put `target` together from what arrived and from the store; false when the store no longer has its share. */
export async function assemble(
  stored: StoredImage,
  target: Uint8Array,
  offset: number,
  arrived: readonly ReceivedRange[],
): Promise<boolean> {
  const end = offset + target.length
  let at = offset
  const gaps: [number, number][] = []
  for (const piece of [...arrived].sort((a, b) => a.offset - b.offset)) {
    const from = Math.max(at, piece.offset)
    const to = Math.min(end, piece.offset + piece.length)
    if (from >= to) continue
    if (from > at) gaps.push([at, from])
    target.set(piece.bytes.subarray(from - piece.offset, to - piece.offset), from - offset)
    at = to
  }
  if (at < end) gaps.push([at, end])
  const whole = await Promise.all(
    gaps.map(([from, to]) => stored.read(from, target.subarray(from - offset, to - offset))),
  )
  return whole.every(Boolean)
}

/** A reader, by the way it gets its bytes. */
export interface LendingReader {
  /**
   * Takes the release of the bytes, to be called once they are not looked at any more: their memory is used again then.
   * Without it the reader gets a copy of its own.
   */
  readonly lend?: ((release: () => void) => void) | undefined
}

/** Lend bytes to a reader that gives them back, and a copy to one that does not. @returns the bytes to look at */
export function lendOrCopy(bytes: Uint8Array, release: () => void, { lend }: LendingReader): Uint8Array {
  if (lend) {
    lend(release)
    return bytes
  }
  const copy = Buffer.from(bytes)
  release()
  return copy
}

/** Be a reader of each fetch. @returns how to leave them all */
export function acquireAll(fetches: readonly InflightFetch[]): () => void {
  if (fetches.length === 1) return fetches[0]!.acquire()
  const leave = fetches.map(inflight => inflight.acquire())
  return () => {
    for (const step of leave) step()
  }
}

/**
 * Wait for joined fetches, see {@link acquireAll}.
 * @returns null when one failed that was begun ahead of its readers: it was of another moment, and says nothing of this
 * one
 */
export async function arrivals(
  stored: StoredImage,
  fetches: readonly InflightFetch[],
  signal: CancelSignal,
): Promise<ReceivedRange[] | null> {
  try {
    // Nearly always it is one.
    if (fetches.length === 1) return [await abortable(receivedRangeOf(stored, fetches[0]!), signal)]
    return await abortable(Promise.all(fetches.map(inflight => receivedRangeOf(stored, inflight))), signal)
  } catch (error) {
    const mayTryAgain = !signal.aborted && !isCacheError(error, 'image-changed', 'closed')
    if (mayTryAgain && fetches.some(inflight => inflight.isAhead && inflight.hasFailed)) return null
    throw error
  }
}
