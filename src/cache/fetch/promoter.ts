/**
 * Promoter: puts extents that a reader has already got into the store, in the background.
 *
 * The queue is bounded in bytes and entries. When it is full, the miss stays a proxy read, counted, and no reader
 * waits.
 */
import PQueue from 'p-queue'
import type { WriteOutcome } from '../../store/image/block-writer.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { promotionBytesMax, promotionConcurrency, promotionEntriesMax } from './limits.ts'

export type DropReason = 'queue-full' | 'no-room' | 'disk-failed'

export interface PromotionCounters {
  /** Bytes that wait or are being written now. */
  readonly queuedBytes: number
  /** Bytes put into the store. */
  readonly promotedBytes: number
  /** Extents that were answered and not promoted. */
  readonly dropped: number
  /** Why: the queue was full, there was no room in the cache, or its disk failed. */
  readonly droppedBy: Readonly<Record<DropReason, number>>
}

/** The share of the queue that long streams may fill, so that there is room for what is read by others. */
const passingShareMax = 0.75

export class Promoter {
  readonly #queue = new PQueue({ concurrency: promotionConcurrency })
  #bytesMax: number
  // INVARIANT: an extent is let in only when queuedBytes is not over bytesMax then.
  #queuedBytes = 0
  #promotedBytes = 0
  readonly #droppedBy: Record<DropReason, number> = { 'queue-full': 0, 'no-room': 0, 'disk-failed': 0 }

  /** @param bytesMax bytes that may wait */
  constructor(bytesMax: number = promotionBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** Let another number of bytes wait from now on. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax
  }

  get counters(): PromotionCounters {
    const droppedBy = { ...this.#droppedBy }
    const dropped = droppedBy['queue-full'] + droppedBy['no-room'] + droppedBy['disk-failed']
    return { queuedBytes: this.#queuedBytes, promotedBytes: this.#promotedBytes, dropped, droppedBy }
  }

  /** Would an extent of that many bytes be let in now? */
  hasRoom(bytes: number, isPassing = false): boolean {
    const bytesMax = this.#bytesMax * (isPassing ? passingShareMax : 1)
    return this.#queue.size < promotionEntriesMax && this.#queuedBytes + bytes <= bytesMax
  }

  /**
   * Offer an extent: whole blocks of `object` from block `first` on. Resolves when it is in the store or was dropped;
   * never rejects.
   * @param isPassing see {@link Promote}: it goes past the page cache then
   */
  async offer(
    stored: StoredImage,
    object: number,
    first: number,
    bytes: Uint8Array,
    isPassing = false,
  ): Promise<WriteOutcome> {
    if (!this.hasRoom(bytes.length, isPassing)) {
      this.#droppedBy['queue-full']++
      return 'full'
    }
    this.#queuedBytes += bytes.length
    try {
      const result = await this.#queue.add(() => stored.writeBlocks(object, first, bytes, isPassing))
      if (result === 'landed') this.#promotedBytes += bytes.length
      else if (result === 'full') this.#droppedBy['no-room']++
      else if (result === 'failed') this.#droppedBy['disk-failed']++
      return result
    } finally {
      this.#queuedBytes -= bytes.length
    }
  }
}
