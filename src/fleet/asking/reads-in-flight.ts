/**
 * Reads in flight: ranges that this host is reading now, by image; those of origins, and those that wait for a member.
 *
 * A former owner says by the first that a unit is coming, so that the new owner waits for it and does not read it from
 * the origin once more. A question that has passed all members never waits for the second: that member may be the one
 * that asks.
 */

/** Bytes [from, to) of an image. */
export interface ReadRange {
  readonly from: number
  readonly to: number
}

export class ReadsInFlight {
  readonly #byImage = new Map<string, Set<ReadRange>>()

  /** A read has begun. @returns its end, to be called once */
  begin(imageId: string, offset: number, length: number): () => void {
    const reads = this.#byImage.get(imageId) ?? new Set<ReadRange>()
    this.#byImage.set(imageId, reads)
    const read = { from: offset, to: offset + length }
    reads.add(read)
    return () => {
      reads.delete(read)
      if (reads.size === 0 && this.#byImage.get(imageId) === reads) this.#byImage.delete(imageId)
    }
  }

  /** The ranges of an image that are being read. */
  rangesOf(imageId: string): Iterable<ReadRange> {
    return this.#byImage.get(imageId) ?? []
  }

  /** Is any of the range being read now? */
  touches(imageId: string, offset: number, length: number): boolean {
    for (const { from, to } of this.rangesOf(imageId)) if (from < offset + length && offset < to) return true
    return false
  }

  /** Is all of the range being read now? */
  covers(imageId: string, offset: number, length: number): boolean {
    const end = offset + length
    let at = offset
    for (const { from, to } of [...(this.#byImage.get(imageId) ?? [])].sort((a, b) => a.from - b.from)) {
      if (from > at) break
      at = Math.max(at, to)
      if (at >= end) break
    }
    return at >= end
  }
}
