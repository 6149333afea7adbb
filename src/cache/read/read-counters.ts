/** Counters of reads that the native hit path did not answer, altogether and by image. */
import type { Image } from '../../base/image.ts'
import { type LatencyCounts, LatencyHistogram } from '../../base/latency-histogram.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'

/** Reads of one image since the daemon started. */
export interface ImageReads {
  readonly hits: number
  readonly hitBytes: number
  readonly misses: number
  readonly missBytes: number
  /** The time of all misses together. */
  readonly missMs: number
}

const noReads: ImageReads = { hits: 0, hitBytes: 0, misses: 0, missBytes: 0, missMs: 0 }

export interface ReadCounts {
  readonly hits: number
  readonly misses: number
  readonly hitBytes: number
  readonly missBytes: number
}

/** Latencies of reads: answered by the store, and by the origin. */
export interface ReadLatencies {
  readonly store: LatencyCounts
  readonly origin: LatencyCounts
}

export class ReadCounters {
  #all: ReadCounts = { hits: 0, misses: 0, hitBytes: 0, missBytes: 0 }
  readonly #hitLatencies = new LatencyHistogram()
  readonly #missLatencies = new LatencyHistogram()
  /** By version: it goes when the version is not known any more. */
  readonly #byImage = new WeakMap<Image, ImageReads>()

  get counts(): ReadCounts {
    return this.#all
  }

  get latencies(): ReadLatencies {
    return { store: this.#hitLatencies.snapshot(), origin: this.#missLatencies.snapshot() }
  }

  /** Those that were counted, and with its data file those that were answered natively, too. */
  of(image: Image, stored: Pick<StoredImage, 'file'> | null = null): ImageReads {
    const reads = this.#byImage.get(image) ?? noReads
    if (!stored) return reads
    const { hits, hitBytes } = stored.file.hits()
    return { ...reads, hits: reads.hits + hits, hitBytes: reads.hitBytes + hitBytes }
  }

  /** Count one that was answered after `ms` milliseconds; `missed`: with bytes for which it waited. */
  add(image: Image, bytes: number, missed: boolean, ms: number): void {
    const { hits, hitBytes, misses, missBytes } = this.#all
    const of = this.of(image)
    if (missed) {
      this.#missLatencies.add(ms)
      this.#all = { hits, hitBytes, misses: misses + 1, missBytes: missBytes + bytes }
      const missed = { misses: of.misses + 1, missBytes: of.missBytes + bytes, missMs: of.missMs + ms }
      this.#byImage.set(image, { ...of, ...missed })
    } else {
      this.#hitLatencies.add(ms)
      this.#all = { hits: hits + 1, hitBytes: hitBytes + bytes, misses, missBytes }
      this.#byImage.set(image, { ...of, hits: of.hits + 1, hitBytes: of.hitBytes + bytes })
    }
  }
}
