/**
 * Sources of native origin reads: the open images that session threads may read from the origin by themselves, by
 * version. A source does not keep its image open: one that has been closed answers nothing, and the next read that
 * comes to TypeScript opens the image again.
 */
import type { OriginReader } from '../../native/origin-reader.ts'

export class NativeReadSources {
  readonly #max: number
  // INVARIANT: at most #max, the one that was opened last is last.
  readonly #byImage = new Map<string, OriginReader>()

  /** @param max as many as images stay open */
  constructor(max: number) {
    this.#max = max
  }

  /** An image has been opened. */
  set(imageId: string, source: OriginReader): void {
    this.#byImage.delete(imageId)
    this.#byImage.set(imageId, source)
    for (const oldest of this.#byImage.keys()) {
      if (this.#byImage.size <= this.#max) break
      this.#byImage.delete(oldest)
    }
  }

  of(imageId: string): OriginReader | null {
    return this.#byImage.get(imageId) ?? null
  }
}
