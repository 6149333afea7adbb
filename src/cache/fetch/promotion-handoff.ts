/**
 * Hand-over of fetched bytes to promotion: they go to the store, or stay in memory for a while where the store does not
 * take them.
 */
import { SlicedQueue } from '../../async/loop-slicer.ts'
import type { TraceSpan } from '../../base/trace.ts'
import type { Extent } from '../../store/image/block-writer.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { InflightFetch } from './inflight-fetch.ts'
import type { InflightTable } from './inflight-table.ts'
import { promotionBatchBytesMax, promotionDelayMs } from './limits.ts'
import type { UnpromotedBuffer } from './unpromoted-buffer.ts'

/**
 * Take extents, to be written together; resolves when each is in the store (true) or was dropped. Never rejects.
 * @param isPassing they belong to a long stream, which leaves nothing in the page cache anyway
 */
export type Promote = (
  stored: StoredImage,
  extents: readonly Extent[],
  isPassing: boolean,
) => Promise<readonly boolean[]>

export interface PromotionHandoffContext {
  readonly fetches: InflightTable
  readonly unpromoted: UnpromotedBuffer
  /** See {@link Promote}. */
  readonly promote: Promote
  /** Does it belong to a long stream? */
  isPassing(stored: StoredImage, inflight: InflightFetch): boolean
  /** Would so many bytes be taken now? */
  mayPromote(stored: StoredImage, bytes: number): boolean
  /** Other than the default; 0: what is handed over in one turn goes together. */
  readonly promotionDelayMs?: number | undefined
}

/** An extent on its way into the store, and its fetch. */
interface HandedOver extends Extent {
  readonly inflight: InflightFetch
  /** Of a traced read. */
  readonly span: TraceSpan | undefined
}

/** Extents that are written together. */
interface Batch {
  readonly stored: StoredImage
  readonly isPassing: boolean
  readonly extents: HandedOver[]
  bytes: number
}

export class PromotionHandoff {
  readonly #parts: PromotionHandoffContext
  readonly #slicer = new SlicedQueue()
  /** Handed over of late, and the bytes of all of them. */
  #batches: Batch[] = []
  #bytes = 0
  /** Begins them. */
  #gathering: NodeJS.Timeout | null = null
  /** Settled ones that stay because the shelf has their bytes. */
  readonly #buffered = new Set<InflightFetch>()

  constructor(parts: PromotionHandoffContext) {
    this.#parts = parts
  }

  /** Flights that are over and only stay because their bytes are on the shelf. */
  get bufferedFetches(): number {
    return this.#buffered.size
  }

  /**
   * After the turn in which the readers got the bytes: a promotion that starts earlier delays the guest. What is handed
   * over within some milliseconds goes together, and at once where that makes a batch.
   */
  handOver(stored: StoredImage, inflight: InflightFetch, bytes: Uint8Array): void {
    const isPassing = this.#parts.isPassing(stored, inflight)
    let batch = this.#batches.findLast(known => known.stored === stored && known.isPassing === isPassing)
    if (!batch || batch.bytes + bytes.length > promotionBatchBytesMax) {
      batch = { stored, isPassing, extents: [], bytes: 0 }
      this.#batches.push(batch)
    }
    const span = inflight.trace?.begin('promotion', { 'parentfs.bytes': bytes.length })
    batch.extents.push({ inflight, span, object: inflight.object, first: inflight.run.first, bytes })
    batch.bytes += bytes.length
    const { promotionDelayMs: delayMs = promotionDelayMs } = this.#parts
    const bytesMax = delayMs > 0 ? promotionBatchBytesMax : 0
    const isBegun = this.#bytes > 0 && this.#bytes >= bytesMax
    this.#bytes += bytes.length
    if (this.#bytes < bytesMax) this.#gathering ??= setTimeout(this.#begin, delayMs)
    else if (!isBegun) setImmediate(this.#begin)
  }

  readonly #begin = () => {
    if (this.#gathering) clearTimeout(this.#gathering)
    this.#gathering = null
    const batches = this.#batches
    this.#batches = []
    this.#bytes = 0
    for (const batch of batches) this.#slicer.run(() => void this.#promote(batch)) // Never rejects.
  }

  async #promote({ stored, extents, isPassing }: Batch): Promise<void> {
    const areStored = await this.#parts.promote(stored, extents, isPassing) // Never rejects.
    for (const [k, { inflight, span, bytes }] of extents.entries()) {
      span?.add({ 'parentfs.promoted': areStored[k]! })
      span?.end()
      this.#settle(stored, inflight, bytes, areStored[k]!)
    }
  }

  #settle(stored: StoredImage, inflight: InflightFetch, bytes: Uint8Array, isStored: boolean): void {
    inflight.settle()
    // A removed image takes nothing any more: kept here, its bytes would be offered in vain to every reader of its
    // successor.
    if (isStored || stored.usageGate.isClosed) this.#parts.fetches.remove(stored, inflight)
    // The reader of a long stream has it from the read-ahead buffer, and does not come back.
    else if (inflight.isPassing) this.#keepBuffered(stored, inflight)
    else this.#retain(stored, inflight, bytes)
  }

  /**
   * A reader that comes back for the rest of a block, or was yet to come, need not wait. Each of them is a reason to
   * offer it again.
   */
  #retain(stored: StoredImage, inflight: InflightFetch, bytes: Uint8Array): void {
    const { unpromoted, mayPromote } = this.#parts
    const retained = { bytes: bytes.length, leave: () => this.#keepBuffered(stored, inflight) }
    inflight.retained = {
      releaseBytes: () => {
        unpromoted.drop(retained)
        inflight.retained?.releaseBytes()
      },
      offer: () => {
        if (!mayPromote(stored, bytes.length) || !unpromoted.take(retained)) return
        inflight.retained = null
        this.handOver(stored, inflight, bytes)
      },
    }
    unpromoted.add(retained)
  }

  /**
   * A read that was on its way here when its bytes came finds them, and buffered ranges are not fetched once more: both
   * would have the stream take its whole prefetch for lost.
   */
  #keepBuffered(stored: StoredImage, inflight: InflightFetch): void {
    const leave = () => {
      this.#buffered.delete(inflight)
      this.#parts.fetches.remove(stored, inflight)
    }
    this.#buffered.add(inflight)
    inflight.retained = { releaseBytes: leave, offer: () => {} }
    inflight.whenReleased(leave)
  }
}
