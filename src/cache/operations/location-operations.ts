/**
 * Locations of an image for operators: their figures, and all of them compared with the origin.
 */
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { ComparedLocation } from '../../origin/locations/compare-locations.ts'
import type { ImageLocation } from '../../origin/locations/image-location.ts'
import type { MountedOrigin } from '../fetch/origin-table.ts'
import type { Catalog } from '../names/catalog.ts'
import type { NamedImages } from './named-images.ts'

export interface LocationOperationsContext {
  readonly origins: readonly Pick<MountedOrigin, 'origin' | 'places'>[]
  readonly names: NamedImages
  readonly catalog: Pick<Catalog, 'toldBy'>
  readonly store: { readonly blockBytes: number }
}

/** The progress of a comparison. */
export interface ComparisonProgress {
  readonly name: string
  readonly phase: string
  readonly doneBytes: number
  readonly totalBytes: number
}

export class LocationOperations {
  readonly #parts: LocationOperationsContext

  constructor(parts: LocationOperationsContext) {
    this.#parts = parts
  }

  /**
   * The locations of an image, the origin itself first.
   * @throws CacheError not-found, invalid-argument (its origin shows none), origin-*, aborted
   */
  async list(name: string, signal: AbortSignal): Promise<ImageLocation[]> {
    const { image, places } = await this.#find(name, signal)
    const [origin, ...others] = await places.locationsOf(image, signal)
    const toldBy = this.#parts.catalog.toldBy(image)
    if (!origin || toldBy === null) return origin ? [origin, ...others] : []
    return [{ ...origin, reason: `has not named this version yet: ${toldBy} has told it` }, ...others]
  }

  /**
   * Every location compared with the origin, by digests or block by block.
   * @throws CacheError not-found, invalid-argument (its origin shows none), image-changed, origin-*, aborted
   */
  async compare(
    name: string,
    {
      signal,
      onProgress,
    }: { readonly signal: AbortSignal; readonly onProgress: (progress: ComparisonProgress) => void },
  ): Promise<ComparedLocation[]> {
    const { image, places } = await this.#find(name, signal)
    const totalBytes = image.sizeBytes
    const onBytes = (url: string, doneBytes: number) => onProgress({ name, phase: url, doneBytes, totalBytes })
    return await places.compareAll(image, { signal, blockBytes: this.#parts.store.blockBytes, onBytes })
  }

  async #find(name: string, signal: AbortSignal) {
    const { origin, entry } = await this.#parts.names.find(name, signal)
    const places = this.#parts.origins.find(each => each.origin === origin)?.places
    if (places) return { image: entry.image satisfies Image, places }
    throw new CacheError('invalid-argument', `${name}: its origin shows no locations`)
  }
}
