/**
 * Access predictor: predicts the next reads of an image by combining the stream detector with read-around. Pure.
 */
import { ReadAround } from './read-around.ts'
import { type SeenRead, type Span, type Stream, StreamDetector, type StreamLimits } from './stream-detector.ts'

/** Blocks to fetch ahead. */
export interface PrefetchPlan {
  readonly spans: readonly Span[]
  /** The stream that wants them; null when they lie around a miss, nearest first. */
  readonly stream: Stream | null
}

export class AccessPredictor {
  readonly #streams = new StreamDetector()
  readonly #neighbourhood: ReadAround

  /** @param blocks of the image, each of `blockBytes` */
  constructor(blocks: number, blockBytes: number) {
    this.#neighbourhood = new ReadAround(blocks, blockBytes)
  }

  /** Streams that are being fetched ahead. */
  get streams(): number {
    return this.#streams.active
  }

  /** Is `block` part of a stream that has come so far, in blocks? */
  isPassing(block: number, comeMin: number): boolean {
    return this.#streams.isLongStream(block, comeMin)
  }

  /**
   * Note a read.
   * @param aroundBytesMax neighbours of a miss that are worth fetching now
   * @returns what to fetch ahead now; null for nothing
   */
  observe(read: SeenRead, limits: StreamLimits, aroundBytesMax: () => number): PrefetchPlan | null {
    const goesOn = this.#streams.observe(read, limits)
    const around = this.#neighbourhood.observe(read, goesOn ? () => 0 : aroundBytesMax)
    if (goesOn) return goesOn
    return around.length > 0 ? { spans: around, stream: null } : null
  }
}
