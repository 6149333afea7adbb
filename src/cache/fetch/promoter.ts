/**
 * Promoter: puts extents that a reader has already got into the store, in the background.
 *
 * The queue is bounded in bytes and batches. When it is full, the miss stays a proxy read, counted, and no reader
 * waits.
 */
import PQueue from 'p-queue'
import type { Extent, WriteOutcome } from '../../store/image/block-writer.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { promotionBytesMax, promotionConcurrency, promotionEntriesMax } from './limits.ts'

export type DropReason =
  | 'queue-full'
  | 'no-room'
  | 'disk-failed'
  | 'recency'
  | 'write-budget'
  | 'max-objects'
  | 'too-young'

export interface PromotionCounters {
  /** Bytes that wait or are being written now. */
  readonly queuedBytes: number
  /** Bytes put into the store. */
  readonly promotedBytes: number
  /** Extents that were answered and not promoted. */
  readonly dropped: number
  /** Why: the queue was full, there was no room in the cache, its disk failed; and see promotion-gate.ts. */
  readonly droppedBy: Readonly<Record<DropReason, number>>
}

/** The share of the queue that long streams may fill, so that there is room for what is read by others. */
const passingShareMax = 0.75

export class Promoter {
  readonly #queue = new PQueue({ concurrency: promotionConcurrency })
  /** May this image be written to now? Asked when its turn has come. */
  readonly #isWanted: (stored: StoredImage) => boolean
  /** Those that write now. */
  readonly #writing = new Set<Promise<unknown>>()
  #bytesMax: number
  // INVARIANT: an extent is let in only when queuedBytes is not over bytesMax then.
  #queuedBytes = 0
  #promotedBytes = 0
  readonly #droppedBy: Record<DropReason, number> = {
    'queue-full': 0,
    'no-room': 0,
    'disk-failed': 0,
    recency: 0,
    'write-budget': 0,
    'max-objects': 0,
    'too-young': 0,
  }

  /** @param bytesMax bytes that may wait */
  constructor(bytesMax: number = promotionBytesMax, isWanted: (stored: StoredImage) => boolean = () => true) {
    this.#bytesMax = bytesMax
    this.#isWanted = isWanted
  }

  /** Resolves when what is being written now has been: what comes later is judged anew. Never rejects. */
  async written(): Promise<void> {
    await Promise.all(this.#writing)
  }

  /** Let another number of bytes wait from now on. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax
  }

  get counters(): PromotionCounters {
    const droppedBy = { ...this.#droppedBy }
    const dropped = Object.values(droppedBy).reduce((sum, count) => sum + count, 0)
    return { queuedBytes: this.#queuedBytes, promotedBytes: this.#promotedBytes, dropped, droppedBy }
  }

  /** Count an extent that was not offered. */
  refused(reason: DropReason): void {
    this.#droppedBy[reason]++
  }

  /** Would an extent of that many bytes be let in now? */
  hasRoom(bytes: number, isPassing = false): boolean {
    const bytesMax = this.#bytesMax * (isPassing ? passingShareMax : 1)
    return this.#queue.size < promotionEntriesMax && this.#queuedBytes + bytes <= bytesMax
  }

  /**
   * Offer extents, to be written together. Resolves when they are in the store or were dropped, with an outcome for
   * each; never rejects.
   * @param isPassing see {@link Promote}: they go past the page cache then
   */
  async offer(stored: StoredImage, extents: readonly Extent[], isPassing = false): Promise<WriteOutcome[]> {
    const taken = extents.filter(({ bytes }) => {
      const hasRoom = this.hasRoom(bytes.length, isPassing)
      if (hasRoom) this.#queuedBytes += bytes.length
      else this.#droppedBy['queue-full']++
      return hasRoom
    })
    const written = taken.length > 0 ? await this.#queue.add(() => this.#write(stored, taken, isPassing)) : []
    let k = 0
    return extents.map(extent => {
      if (extent !== taken[k]) return 'full'
      const outcome = written?.[k++] ?? null
      const { length } = extent.bytes
      this.#queuedBytes -= length
      if (outcome === null) return 'full'
      if (outcome === 'landed') this.#promotedBytes += length
      else if (outcome === 'full') this.#droppedBy['no-room']++
      else if (outcome === 'failed') this.#droppedBy['disk-failed']++
      return outcome
    })
  }

  /** @returns null: the image takes nothing any more */
  async #write(
    stored: StoredImage,
    extents: readonly Extent[],
    isPassing: boolean,
  ): Promise<readonly WriteOutcome[] | null> {
    if (!this.#isWanted(stored)) return null
    const writing = stored.writeExtents(extents, isPassing)
    this.#writing.add(writing)
    try {
      return await writing
    } finally {
      this.#writing.delete(writing)
    }
  }
}
