/**
 * Origin reads under way: the ranges that this host is reading from origins now, by image. A former owner says by them
 * that a unit is coming, so that the new owner waits for it and does not read it from the origin once more.
 */
/** Bytes [from, to) of an image. */
export interface OriginRead {
  readonly from: number
  readonly to: number
}

export class OriginReads {
  readonly #byImage = new Map<string, Set<OriginRead>>()

  /** A read has begun. @returns its end, to be called once */
  begin(imageId: string, offset: number, length: number): () => void {
    const reads = this.#byImage.get(imageId) ?? new Set<OriginRead>()
    this.#byImage.set(imageId, reads)
    const read = { from: offset, to: offset + length }
    reads.add(read)
    return () => {
      reads.delete(read)
      if (reads.size === 0 && this.#byImage.get(imageId) === reads) this.#byImage.delete(imageId)
    }
  }

  /** The ranges of an image that are being read. */
  rangesOf(imageId: string): Iterable<OriginRead> {
    return this.#byImage.get(imageId) ?? []
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
