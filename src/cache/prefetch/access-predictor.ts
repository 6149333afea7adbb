/**
 * Access predictor: predicts the next reads of an image by combining the stream detector with read-around. Pure.
 */
import { ReadAround } from './read-around.ts'
import { type SeenRead, type Span, type Stream, StreamDetector, type StreamLimits } from './stream-detector.ts'

/** Blocks to fetch ahead. */
export interface PrefetchPlan {
  readonly spans: readonly Span[]
  /** The stream that wants them; null when they lie around a miss. */
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

  /** Note a read. @returns what to fetch ahead now; null for nothing */
  observe(read: SeenRead, limits: StreamLimits): PrefetchPlan | null {
    const goesOn = this.#streams.observe(read, limits)
    const around = this.#neighbourhood.observe(read)
    if (goesOn) return goesOn
    return around ? { spans: [around], stream: null } : null
  }
}
