/**
 * Preloads an image on request, or parts of it, before it is read.
 *
 * Held blocks are skipped, so that a request that ended early goes on where it was. Fetches of readers are shared.
 * Readers come first: while any waits for the origin, one piece is under way at a time, and never more than a few.
 */

import type PQueue from 'p-queue'
import prettyBytes from 'pretty-bytes'
import { pause } from '../../async/pause.ts'
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import { countOf } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import { piecesOf } from '../integrity/scrubber.ts'
import type { MissReader } from '../read/miss-reader.ts'
import { promoteConcurrency, promotePauseMs, promotePieceBytesMax, promoteTriesMax } from './limits.ts'

/** Bytes [from, to) of an image. */
export interface PreloadBytes {
  readonly from: number
  readonly to: number
}

/** The progress of a promotion. */
export interface PreloadProgress {
  readonly name: string
  readonly phase: 'promoting'
  /** Bytes of the ranges that are there, those that were before included. */
  readonly doneBytes: number
  readonly totalBytes: number
}

export interface PreloadedImage {
  readonly name: string
  /** Bytes of the blocks that the ranges touch. */
  readonly wantedBytes: number
  /** Those of them that were there before. */
  readonly presentBytes: number
  /** Bytes that this request brought in, or saw brought in. */
  readonly promotedBytes: number
  /** Is the whole image in the cache now? */
  readonly complete: boolean
}

export interface PreloadContext {
  readonly store: Store
  readonly reader: MissReader
  /** Shared by all promotions on request. */
  readonly queue: PQueue
  /** Bytes that pinned images other than this one keep. */
  readonly keptBytes: number
  makeRoom(): Promise<void>
  /** @throws CacheError image-corrupt when nothing of the image may be kept (any more) */
  mustBeSound(): void
}

export interface PreloadOptions {
  readonly signal: AbortSignal
  readonly onProgress: (progress: PreloadProgress) => void
}

/** Objects that are looked at in one turn of the event loop: about a millisecond. */
const objectsPerTurn = 1024

/** Blocks of one object. */
interface PreloadRange {
  readonly object: number
  readonly blocks: bigint
}

/**
 * @param ranges within the image, in any order
 * @throws CacheError aborted, overloaded (no room), store-failed (a sick cache disk), image-changed, origin-*
 */
export async function preloadImage(
  name: string,
  stored: StoredImage,
  ranges: readonly PreloadBytes[],
  parts: PreloadContext,
  { signal, onProgress }: PreloadOptions,
): Promise<PreloadedImage> {
  const wanted = await bytesIn(stored, ranges)
  mustFit(name, stored, wanted.wholeBytes - wanted.zeroBytes, parts)
  let promotedBytes = 0
  const say = () =>
    onProgress({
      name,
      phase: 'promoting',
      doneBytes: Math.min(wanted.wholeBytes, wanted.heldBytes + promotedBytes),
      totalBytes: wanted.wholeBytes,
    })
  say()
  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  const pieces = missingPieces(stored, ranges)
  const work = async (worker: number) => {
    for (const { object, blocks } of pieces) {
      while (worker > 0 && parts.reader.waiting > 0 && !stop.aborted) await pause(promotePauseMs, stop)
      await parts.queue.add(() => bring(name, stored, { object, blocks }, parts, stop))
      promotedBytes += countOf(blocks) * stored.geometry.blockBytes
      say()
    }
  }
  try {
    await Promise.all(Array.from({ length: promoteConcurrency }, (_, worker) => work(worker)))
  } catch (error) {
    failed.abort()
    throw error
  }
  await parts.store.flush() // What is reported as promoted outlasts a crash.
  return {
    name,
    wantedBytes: wanted.wholeBytes,
    presentBytes: wanted.heldBytes,
    promotedBytes: Math.min(promotedBytes, wanted.wholeBytes - wanted.heldBytes),
    complete: stored.complete,
  }
}

/** Refuse at once what can never be there together: it would only turn the cache over. */
function mustFit(name: string, stored: StoredImage, bytes: number, { store, keptBytes }: PreloadContext): void {
  const { lowBytes, capacityBytes } = store.capacity
  const roomBytes = Math.max(0, lowBytes - keptBytes)
  if (bytes <= roomBytes) return
  const kept = keptBytes > 0 ? `, ${size(keptBytes)} are pinned` : ''
  const figures = `${size(bytes)} do not fit into ${size(roomBytes)} (the capacity is ${size(capacityBytes)}${kept})`
  const advice = 'promote parts with --range, or set a larger capacity with "parentfs set capacity"'
  throw new CacheError('overloaded', `${name} of ${size(stored.image.sizeBytes)}: ${figures}: ${advice}`)
}

/** Bring one piece in, again and again while there is no room for it. */
async function bring(
  name: string,
  stored: StoredImage,
  { object, blocks }: PreloadRange,
  { store, reader, makeRoom, mustBeSound }: PreloadContext,
  signal: AbortSignal,
): Promise<void> {
  const bytes = countOf(blocks) * stored.geometry.blockBytes
  for (let tries = 0; tries < promoteTriesMax; tries++) {
    throwIfAborted(signal)
    mustBeSound()
    if (!store.health.mayWrite) {
      const advice = 'run the same command again when "parentfs status" says healthy, it goes on where it was'
      const why = `the cache disk is ${store.health.state} (${store.health.reason})`
      throw new CacheError('store-failed', `${name} is not promoted any further: ${why}: ${advice}`)
    }
    // Before the fetch: bytes that find no room would be fetched in vain.
    if (store.capacity.fits(bytes)) await reader.fill(stored, object, blocks, signal)
    if ((blocks & ~stored.held(object)) === 0n) return
    await store.flush()
    await makeRoom()
    await pause(promotePauseMs, signal)
  }
  const { usedBytes, capacityBytes } = store.capacity
  const figures = `${size(usedBytes)} of ${size(capacityBytes)} are used and nothing more can be evicted`
  const advice = 'unpin something, free space on the disk, or set a larger capacity with "parentfs set capacity"'
  throw new CacheError('overloaded', `${name} is not promoted any further: ${figures}: ${advice}`)
}

/** Pieces of the ranges of which something is missing when it is their turn. Several may take from one walk. */
function* missingPieces(stored: StoredImage, ranges: readonly PreloadBytes[]): Generator<PreloadRange> {
  for (const { object, blocks } of objectsIn(stored, ranges)) {
    for (const piece of piecesOf(blocks, stored.geometry.blockBytes, promotePieceBytesMax)) {
      const missing = piece & ~stored.held(object)
      if (missing !== 0n) yield { object, blocks: missing }
    }
  }
}

/** The bytes of the blocks of the ranges. */
async function bytesIn(stored: StoredImage, ranges: readonly PreloadBytes[]) {
  let [wholeBytes, heldBytes, zeroBytes, objects] = [0, 0, 0, 0]
  const { blockBytes, sizeBytes } = stored.geometry
  for (const { object, blocks } of objectsIn(stored, ranges)) {
    wholeBytes += countOf(blocks) * blockBytes
    heldBytes += countOf(blocks & stored.held(object)) * blockBytes
    zeroBytes += countOf(blocks & stored.zero(object)) * blockBytes
    // A terabyte has a quarter of a million objects, and readers wait.
    if (++objects % objectsPerTurn === 0) await new Promise(resolve => setImmediate(resolve))
  }
  return { wholeBytes: Math.min(wholeBytes, sizeBytes), heldBytes: Math.min(heldBytes, sizeBytes), zeroBytes }
}

/** The objects that the ranges touch, each once, in ascending order. */
function* objectsIn({ geometry }: StoredImage, ranges: readonly PreloadBytes[]): Generator<PreloadRange> {
  const { objectBytes } = geometry
  let [object, blocks] = [-1, 0n]
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    // Objects that earlier ranges have passed are done, but for the one that may go on.
    for (let at = Math.max(from, object * objectBytes); at < to; ) {
      const next = Math.floor(at / objectBytes)
      const end = Math.min(to, (next + 1) * objectBytes)
      if (next !== object) {
        if (object >= 0) yield { object, blocks }
        object = next
        blocks = 0n
      }
      blocks |= geometry.parts(at, end - at)[0]!.blocks
      at = end
    }
  }
  if (object >= 0) yield { object, blocks }
}

function size(bytes: number): string {
  return prettyBytes(bytes, { binary: true })
}
