/**
 * Prefetch queue: requests wait here for their turn, by round robin over owners. Those under way leave enough slots for
 * demand.
 *
 * Demand never waits here, and has a budget of its own: it starts at once, also for blocks that wait here, which are
 * not fetched again then. While a reader waits for a block that was not predicted, as much is under way as fills the
 * path, and no more.
 */

import { type BlockRun, countOf, maskOf, runsOf } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Fetcher } from '../fetch/fetcher.ts'
import { prefetchBytesMax, prefetchBytesMin, prefetchRequestsQueuedMax } from '../fetch/limits.ts'
import type { PathEstimator } from '../fetch/path-estimator.ts'
import type { PrefetchListener } from '../fetch/readahead-buffer.ts'
import type { PrefetchAccuracy } from './prefetch-accuracy.ts'

/** A run of blocks of one object, to be fetched by one request. */
export interface PrefetchRequest {
  readonly stored: StoredImage
  readonly object: number
  readonly run: BlockRun
  readonly accuracy: Pick<PrefetchAccuracy, 'fetched' | 'read' | 'unread'>
  /** Does the first read of it say that all of it is of use, or each of its blocks for itself? */
  readonly unit: 'piece' | 'block'
  /** Is it for a long stream, see {@link Promote}? */
  readonly isPassing: boolean
  /** Is it still wanted? */
  isWanted(): boolean
  /** It is not fetched, for want of room or turns. */
  onSkipped(): void
  /** These of its blocks are read. */
  onRead(run: BlockRun): void
  onUnread(): void
}

export interface PrefetchQueueContext {
  readonly fetcher: Fetcher
  /** Turns at the origin of this image that may be taken; 0 while it must be left in peace. */
  requestsMax(stored: StoredImage): number
  /** Is there room for that many bytes when they come, those that are under way included? */
  hasRoom(stored: StoredImage, bytes: number, isPassing: boolean): boolean
  /** The way to its origin. */
  pathOf(stored: StoredImage): Pick<PathEstimator, 'bdpBytes' | 'bytesPerSecond' | 'bytesPerWait' | 'inFlightBytes'>
}

export interface PrefetchQueueCounters {
  /** Bytes under way. */
  readonly bytes: number
  readonly queuedRequests: number
  /** Pieces that were given up for want of room or turns. */
  readonly skippedRequests: number
}

export class PrefetchQueue {
  readonly #parts: PrefetchQueueContext
  /** By owner; the one whose turn is next comes first. */
  readonly #pieces = new Map<object, PrefetchRequest[]>()
  #queued = 0
  #skipped = 0
  // INVARIANT: nothing is begun that makes #bytes larger than prefetchBytesMax.
  #bytes = 0
  #requests = 0
  #closed = false

  constructor(parts: PrefetchQueueContext) {
    this.#parts = parts
  }

  get counters(): PrefetchQueueCounters {
    return { bytes: this.#bytes, queuedRequests: this.#queued, skippedRequests: this.#skipped }
  }

  add(owner: object, pieces: readonly PrefetchRequest[]): void {
    const waiting = this.#pieces.get(owner) ?? []
    for (const piece of pieces) {
      if (this.#closed || this.#queued >= prefetchRequestsQueuedMax) this.#skip(piece)
      else {
        waiting.push(piece)
        this.#queued++
      }
    }
    if (waiting.length > 0) this.#pieces.set(owner, waiting)
    this.#pump()
  }

  /** Nothing begins any more. Idempotent. */
  close(): void {
    this.#closed = true
    this.#pieces.clear()
    this.#queued = 0
  }

  #pump(): void {
    const { fetcher } = this.#parts
    for (;;) {
      const next = this.#pieces.entries().next().value
      if (!next) return
      const [owner, pieces] = next
      const piece = pieces[0]!
      const blocks = piece.isWanted() ? fetcher.lacking(piece.stored, piece.object, maskOf(piece.run)) : 0n
      const bytes = countOf(blocks) * piece.stored.geometry.blockBytes
      if (bytes > 0 && !this.#mayBegin(piece.stored, bytes)) {
        if (this.#requests > 0) return // Its end is heard of.
        this.#take(owner, pieces)
        this.#skip(piece)
        continue
      }
      this.#take(owner, pieces)
      if (bytes === 0) continue
      const { stored, object, isPassing } = piece
      if (!this.#parts.hasRoom(stored, this.#bytes + bytes, isPassing)) this.#skip(piece)
      else for (const run of runsOf(fetcher.claimAhead(stored, object, blocks))) this.#begin(piece, run)
    }
  }

  #take(owner: object, pieces: PrefetchRequest[]): void {
    pieces.shift()
    this.#queued--
    this.#pieces.delete(owner)
    if (pieces.length > 0) this.#pieces.set(owner, pieces)
  }

  #skip(piece: PrefetchRequest): void {
    this.#skipped++
    piece.onSkipped()
  }

  #mayBegin(stored: StoredImage, bytes: number): boolean {
    const { fetcher, requestsMax, pathOf } = this.#parts
    if (this.#requests >= requestsMax(stored)) return false
    return this.#bytes === 0 || this.#bytes + bytes <= Math.min(bytesMax(), prefetchBytesMax)

    function bytesMax(): number {
      if (fetcher.demanded === 0) return prefetchBytesMax
      const { bdpBytes, bytesPerWait } = pathOf(stored)
      return Math.max(prefetchBytesMin, bdpBytes, bytesPerWait)
    }
  }

  #begin(piece: PrefetchRequest, run: BlockRun): void {
    const { stored, object } = piece
    const bytes = run.count * stored.geometry.blockBytes
    this.#bytes += bytes
    this.#requests++
    void this.#parts.fetcher
      .fetchAhead(stored, { object, run }, expectationOf(piece, run), piece.isPassing)
      .then(() => {
        this.#bytes -= bytes
        this.#requests--
        this.#pump()
      })
  }
}

function expectationOf(
  { stored, accuracy, unit, onRead, onUnread }: PrefetchRequest,
  whole: BlockRun,
): PrefetchListener {
  const bytesOf = (run: BlockRun) => run.count * stored.geometry.blockBytes
  accuracy.fetched(bytesOf(whole))
  return {
    unitBlocks: unit === 'piece' ? whole.count : 1,
    onRead: run => {
      accuracy.read(bytesOf(run))
      onRead(run)
    },
    onUnread: run => {
      accuracy.unread(bytesOf(run))
      onUnread()
    },
  }
}
