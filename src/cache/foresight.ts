/**
 * What the next reads of an image will want, judged by its reads until now: what goes on, and what lies around. Pure.
 */
import { Neighbourhood } from './neighbourhood.ts'
import { type SeenRead, type Span, type Stream, type StreamLimits, Streams } from './streams.ts'

/** Blocks to fetch ahead. */
export interface Wish {
  readonly spans: readonly Span[]
  /** The stream that wants them; null when they lie around a miss. */
  readonly stream: Stream | null
}

export class Foresight {
  readonly #streams = new Streams()
  readonly #neighbourhood: Neighbourhood

  /** @param blocks of the image, each of `blockBytes` */
  constructor(blocks: number, blockBytes: number) {
    this.#neighbourhood = new Neighbourhood(blocks, blockBytes)
  }

  /** Streams that are being fetched ahead. */
  get streams(): number {
    return this.#streams.active
  }

  /** Is `block` part of a stream that has come so far, in blocks? */
  isPassing(block: number, comeMin: number): boolean {
    return this.#streams.isPassing(block, comeMin)
  }

  /** Note a read. @returns what to fetch ahead now; null for nothing */
  see(read: SeenRead, limits: StreamLimits): Wish | null {
    const goesOn = this.#streams.see(read, limits)
    const around = this.#neighbourhood.see(read)
    if (goesOn) return goesOn
    return around ? { spans: [around], stream: null } : null
  }
}
