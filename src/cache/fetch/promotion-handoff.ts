/**
 * Hand-over of fetched bytes to promotion: they go to the store, or stay in memory for a while where the store does not
 * take them.
 */
import { SlicedQueue } from '../../async/loop-slicer.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { InflightFetch } from './inflight-fetch.ts'
import type { InflightTable } from './inflight-table.ts'
import type { UnpromotedBuffer } from './unpromoted-buffer.ts'

/**
 * Take bytes of `object` from block `first` on; resolves when they are in the store (true) or were dropped. Never
 * rejects.
 * @param isPassing they belong to a long stream, which leaves nothing in the page cache anyway
 */
export type Promote = (
  stored: StoredImage,
  object: number,
  first: number,
  bytes: Uint8Array,
  isPassing: boolean,
) => Promise<boolean>

export interface PromotionHandoffContext {
  readonly fetches: InflightTable
  readonly unpromoted: UnpromotedBuffer
  /** See {@link Promote}. */
  readonly promote: Promote
  /** Would so many bytes be taken now? */
  mayPromote(stored: StoredImage, bytes: number): boolean
}

export class PromotionHandoff {
  readonly #parts: PromotionHandoffContext
  readonly #slicer = new SlicedQueue()
  /** Settled ones that stay because the shelf has their bytes. */
  readonly #buffered = new Set<InflightFetch>()

  constructor(parts: PromotionHandoffContext) {
    this.#parts = parts
  }

  /** Flights that are over and only stay because their bytes are on the shelf. */
  get bufferedFetches(): number {
    return this.#buffered.size
  }

  /** After the turn in which the readers got the bytes: a promotion that starts earlier delays the guest. */
  handOver(stored: StoredImage, inflight: InflightFetch, bytes: Uint8Array): void {
    setImmediate(() => this.#slicer.run(() => void this.#promote(stored, inflight, bytes))) // Never rejects.
  }

  async #promote(stored: StoredImage, inflight: InflightFetch, bytes: Uint8Array): Promise<void> {
    const { object, run, isPassing } = inflight
    const isStored = await this.#parts.promote(stored, object, run.first, bytes, isPassing) // Never rejects.
    inflight.settle()
    // A removed image takes nothing any more: kept here, its bytes would be offered in vain to every reader of its
    // successor.
    if (isStored || stored.usageGate.isClosed) this.#parts.fetches.remove(stored, inflight)
    // The reader of a long stream has it from the read-ahead buffer, and does not come back.
    else if (isPassing) this.#keepBuffered(stored, inflight)
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
