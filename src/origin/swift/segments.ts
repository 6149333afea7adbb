/**
 * Segments of a large object: the stretches of other objects that it is made of. Pure.
 */
import { createHash } from 'node:crypto'

/** A stretch of one version of an object. */
export interface Segment {
  readonly container: string
  readonly name: string
  /** Of the object: its ETag, which is the MD5 of its bytes. */
  readonly etag: string
  readonly objectBytes: number
  /** First byte within the object. */
  readonly first: number
  readonly length: number
}

/** Segments in their order, and where each begins within the image. */
export class SegmentList {
  readonly segments: readonly Segment[]
  readonly sizeBytes: number
  /** Names the version: every name, ETag, size and stretch. */
  readonly validator: string
  readonly #starts: readonly number[]

  constructor(segments: readonly Segment[]) {
    this.segments = segments.filter(({ length }) => length > 0)
    const starts: number[] = []
    let at = 0
    for (const { length } of this.segments) {
      starts.push(at)
      at += length
    }
    this.#starts = starts
    this.sizeBytes = at
    const hash = createHash('sha256')
    for (const { container, name, etag, objectBytes, first, length } of segments) {
      hash.update(JSON.stringify([container, name, etag, objectBytes, first, length]))
    }
    this.validator = validatorPrefix + hash.digest('hex').slice(0, 32)
  }

  /** The stretches that are bytes `offset` to `offset + length` of the image, which lie within it. */
  partsOf(offset: number, length: number): Segment[] {
    const end = offset + length
    const parts: Segment[] = []
    for (let k = this.#indexAt(offset); k < this.segments.length && this.#starts[k]! < end; k++) {
      const [segment, start] = [this.segments[k]!, this.#starts[k]!]
      const from = Math.max(offset, start)
      const to = Math.min(end, start + segment.length)
      parts.push({ ...segment, first: segment.first + from - start, length: to - from })
    }
    return parts
  }

  /** The last segment that begins at or before `offset`. */
  #indexAt(offset: number): number {
    let [low, high] = [0, this.#starts.length]
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.#starts[middle]! <= offset) low = middle
      else high = middle
    }
    return low
  }
}

const validatorPrefix = 'segments-'

/** Is it the validator of a list of segments? */
export function isOfSegments(validator: string): boolean {
  return validator.startsWith(validatorPrefix)
}
