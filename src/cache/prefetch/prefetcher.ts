/**
 * Prefetcher: fetches the predicted reads of an image before they come.
 *
 * It hears of every read that was not answered natively, finds the streams in them, and queues requests
 * (prefetch-queue.ts). The size of a request comes from the path estimator, their number from the window of the stream.
 */

import { blocksPerObject } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import {
  leftBehindBytes,
  prefetchRequestBytesMax,
  prefetchRequestBytesMin,
  prefetchRequestMs,
  prefetchRequestMsMax,
  prefetchRunBytesMin,
  prefetchWaitRunBytesMin,
  prefetchWindowBytesMin,
  prefetchWindowRequestsMax,
  profileBatchBytes,
  type ReadAroundLimits,
  uncachedRunBytesMin,
} from '../fetch/limits.ts'
import { AccessPredictor } from './access-predictor.ts'
import type { BootProfile } from './boot-profile.ts'
import { PrefetchAccuracy, type PrefetchAccuracyCounters } from './prefetch-accuracy.ts'
import {
  PrefetchQueue,
  type PrefetchQueueContext,
  type PrefetchQueueCounters,
  type PrefetchRequest,
} from './prefetch-queue.ts'
import { isBusy, ReadAroundBudget, type ReadAroundCounters, ReadAroundTally } from './read-around-budget.ts'
import type { Span, Stream, StreamLimits } from './stream-detector.ts'

/** A read, in bytes of the image. */
export interface SeenByteRead {
  readonly offset: number
  readonly length: number
  /** Did it wait for the origin? */
  readonly stalled: boolean
  /** Did it need blocks that were neither held nor on their way? */
  readonly missed: boolean
  /** Does a session thread fetch what it needs? */
  readonly isNative?: boolean | undefined
}

export interface PrefetcherContext extends PrefetchQueueContext {
  /** The distance up to which bytes are fetched ahead of a stream. */
  windowBytesMax(): number
  /** The bytes around misses of an image that may be fetched in vain. */
  readAroundOf(stored: StoredImage): ReadAroundLimits
  /** A long stream has left these blocks behind. */
  onLeft(stored: StoredImage, span: Span): void
  /** Blocks are read, be it that each was seen, or the first of those that were fetched together. */
  onBlocks(stored: StoredImage, span: Span): void
}

/** Why something is fetched ahead: a reader goes on, or reads all around, or did so the last time. */
export type Purpose = 'stream' | 'around' | 'profile'

export interface PrefetchCounters extends PrefetchQueueCounters {
  readonly purposes: Readonly<Record<Purpose, PrefetchAccuracyCounters>>
  readonly readAround: ReadAroundCounters
}

/** The reads of one image, and what its misses may cost. */
interface Observed {
  readonly predictor: AccessPredictor
  readonly around: ReadAroundBudget
}

/** The way in which requests are accounted for. */
interface RequestPolicy extends Pick<PrefetchRequest, 'accuracy' | 'unit'> {
  /** The stream that wants them, if one does. */
  readonly stream: Stream | null
}

export class Prefetcher {
  readonly #parts: PrefetcherContext
  readonly #queue: PrefetchQueue
  readonly #byImage = new WeakMap<StoredImage, Observed>()
  readonly #tally = new ReadAroundTally()
  readonly #accuracy = {
    stream: new PrefetchAccuracy(),
    around: new PrefetchAccuracy(),
    profile: new PrefetchAccuracy(),
  }

  constructor(parts: PrefetcherContext) {
    this.#parts = parts
    this.#queue = new PrefetchQueue(parts)
  }

  get counters(): PrefetchCounters {
    const { stream, around, profile } = this.#accuracy
    const purposes = { stream: stream.counters, around: around.counters, profile: profile.counters }
    return { ...this.#queue.counters, purposes, readAround: this.#tally.counters }
  }

  /** A reader has asked for something; what it needs is on its way by now. */
  onRead(stored: StoredImage, { offset, length, stalled, missed, isNative }: SeenByteRead): void {
    const { blockBytes } = stored.geometry
    const from = Math.floor(offset / blockBytes)
    const to = Math.ceil((offset + length) / blockBytes)
    this.#parts.onBlocks(stored, { from, to })
    const { predictor, around } = this.#observed(stored)
    if (missed) around.missed((to - from) * blockBytes)
    const aroundBytesMax = () => Math.min(this.#parts.windowBytesMax(), around.bytesMax(this.#parts.pathOf(stored)))
    const wish = predictor.observe({ from, to, stalled, missed, isNative }, this.#limits(stored), aroundBytesMax)
    if (!wish) return
    const { stream, spans } = wish
    const { stream: ofStreams } = this.#accuracy
    // Of what lies around a miss each block may be wanted or not; of a stream all are, or none.
    const policy: RequestPolicy = stream
      ? { accuracy: ofStreams, unit: 'piece', stream }
      : { accuracy: around, unit: 'block', stream: null }
    const left = stream?.takeDropBehind(leftBehindBytes / blockBytes)
    if (left) this.#parts.onLeft(stored, left)
    const pieceBlocks = this.#pieceBlocks(stored, to - from, stream)
    const wanted = stream ? spans.map(span => inWholePieces(span, pieceBlocks, stream)) : spans
    this.#queue.add(stream ?? stored, [...this.#piecesOf(stored, wanted, policy, pieceBlocks)])
  }

  /** Is a block one of those that a long stream passes? */
  isPassing(stored: StoredImage, { object, first }: { readonly object: number; readonly first: number }): boolean {
    const block = object * blocksPerObject + first
    return (
      this.#byImage.get(stored)?.predictor.isPassing(block, uncachedRunBytesMin / stored.geometry.blockBytes) ?? false
    )
  }

  /** Fetch what a profile says, up to `bytesMax`. */
  fetchProfile(stored: StoredImage, profile: BootProfile, bytesMax: number): void {
    const { sizeBytes, blockBytes } = stored.geometry
    const policy: RequestPolicy = { accuracy: this.#accuracy.profile, unit: 'piece', stream: null }
    const pieces: PrefetchRequest[] = []
    let bytes = 0
    for (const span of profile.spans(Math.ceil(sizeBytes / blockBytes), profileBatchBytes / blockBytes)) {
      bytes += (span.to - span.from) * blockBytes
      if (bytes > bytesMax) break
      pieces.push(...this.#piecesOf(stored, [span], policy, prefetchRequestBytesMax / blockBytes))
    }
    this.#queue.add(profile, pieces)
  }

  /** Nothing begins any more. Idempotent. */
  close(): void {
    this.#queue.close()
  }

  #observed(stored: StoredImage): Observed {
    const known = this.#byImage.get(stored)
    if (known) return known
    const { sizeBytes, blockBytes } = stored.geometry
    const limits = () => this.#parts.readAroundOf(stored)
    const observed = {
      predictor: new AccessPredictor(Math.ceil(sizeBytes / blockBytes), blockBytes),
      around: new ReadAroundBudget(this.#accuracy.around, limits, this.#tally),
    }
    this.#byImage.set(stored, observed)
    return observed
  }

  #limits(stored: StoredImage): StreamLimits {
    const { blockBytes } = stored.geometry
    const path = this.#parts.pathOf(stored)
    const bytesMax = this.#parts.windowBytesMax()
    const windowMin = Math.max(2, prefetchWindowBytesMin / blockBytes)
    return {
      runMin: Math.max(2, prefetchRunBytesMin / blockBytes),
      waitBlocks: isBusy(path) ? 0 : path.bytesPerWait / blockBytes,
      waitRunMin: prefetchWaitRunBytesMin / blockBytes,
      waitRunsMax: this.#parts.readAroundOf(stored).runsMax,
      requestMin: prefetchRequestBytesMin / blockBytes,
      windowMin,
      windowMax: Math.max(windowMin, Math.floor((bytesMax * this.#accuracy.stream.scale) / blockBytes)),
    }
  }

  *#piecesOf(
    stored: StoredImage,
    spans: readonly Span[],
    { accuracy, unit, stream }: RequestPolicy,
    pieceBlocks: number,
  ): Generator<PrefetchRequest> {
    const { blockBytes, sizeBytes } = stored.geometry
    const blocks = Math.ceil(sizeBytes / blockBytes)
    const isPassing = stream !== null && stream.advance * blockBytes >= uncachedRunBytesMin
    for (const span of spans) {
      for (const { from, to } of cut(span, blocks, Math.min(blocksPerObject, pieceBlocks))) {
        const object = Math.floor(from / blocksPerObject)
        const base = object * blocksPerObject
        yield {
          ...{ stored, accuracy, unit, isPassing, object },
          run: { first: from - base, count: to - from },
          isWanted: () => stream?.wants(to) ?? (unit === 'piece' || !isBusy(this.#parts.pathOf(stored))),
          onSkipped: () => stream?.rewindFrontier(from),
          onRead: run => this.#parts.onBlocks(stored, { from: base + run.first, to: base + run.first + run.count }),
          onUnread: () => stream?.shrink(),
        }
      }
    }
  }

  /**
   * Half of the bytes that fill the path, so that a few requests are under way: a reader of the first block of a
   * request waits for all of it. But no less than a read, because such a reader waits for all of it anyway; and more on
   * a short and wide path, where asking costs more than waiting. A long stream has few requests in its window, whatever
   * the path has shown: small ones may be what makes it narrow.
   */
  #pieceBlocks(stored: StoredImage, readBlocks: number, stream: Stream | null): number {
    const { blockBytes } = stored.geometry
    const { bdpBytes: fullBytes, bytesPerSecond, bytesPerWait } = this.#parts.pathOf(stored)
    const filling = Math.max(fullBytes / 2, (bytesPerSecond * prefetchRequestMs) / 1000)
    const shareBytes = ((stream?.window ?? 0) * blockBytes) / prefetchWindowRequestsMax
    const share = Math.min(shareBytes, Math.max((bytesPerSecond * prefetchRequestMsMax) / 1000, bytesPerWait))
    const wanted = Math.max(prefetchRequestBytesMin, readBlocks * blockBytes, filling, share)
    const blocks = Math.min(prefetchRequestBytesMax, wanted) / blockBytes
    return Math.min(blocksPerObject, 2 ** Math.round(Math.log2(Math.max(1, blocks))))
  }
}

/**
 * The wish of a stream, without a part of a request at its end whose rest the next wish would have: each request has
 * its price.
 */
function inWholePieces(span: Span, pieceBlocks: number, stream: Stream): Span {
  const to = span.to - (span.to % pieceBlocks)
  if (stream.stride !== 0 || to <= span.from || stream.window < 2 * pieceBlocks) return span
  stream.rewindFrontier(to)
  return { from: span.from, to }
}

/**
 * Cut a span, as far as it lies within an image of `blocks`, at the multiples of `pieceBlocks`, of which an object has
 * some.
 */
function* cut({ from, to }: Span, blocks: number, pieceBlocks: number): Generator<Span> {
  const end = Math.min(to, blocks)
  for (let at = Math.max(0, from); at < end; ) {
    const next = Math.min(end, (Math.floor(at / pieceBlocks) + 1) * pieceBlocks)
    yield { from: at, to: next }
    at = next
  }
}
