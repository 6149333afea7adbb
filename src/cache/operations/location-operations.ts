/**
 * Locations of an image for operators: their figures, and all of them compared with the origin.
 */
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { ImageLocation } from '../../origin/locations/located-origin.ts'
import type { ComparedLocation } from '../../origin/locations/same-bytes.ts'
import type { MountedOrigin } from '../fetch/origin-table.ts'
import type { NamedImages } from './named-images.ts'

export interface LocationOperationsContext {
  readonly origins: readonly Pick<MountedOrigin, 'origin' | 'located'>[]
  readonly names: NamedImages
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
   * @throws CacheError not-found, invalid-argument (it has no other), origin-*, aborted
   */
  async list(name: string, signal: AbortSignal): Promise<ImageLocation[]> {
    const { image, located } = await this.#find(name, signal)
    return await located.locationsOf(image)
  }

  /**
   * Every location compared with the origin, by digests or block by block.
   * @throws CacheError not-found, invalid-argument (it has no other), image-changed, origin-*, aborted
   */
  async compare(
    name: string,
    {
      signal,
      onProgress,
    }: { readonly signal: AbortSignal; readonly onProgress: (progress: ComparisonProgress) => void },
  ): Promise<ComparedLocation[]> {
    const { image, located } = await this.#find(name, signal)
    const totalBytes = image.sizeBytes
    const onBytes = (url: string, doneBytes: number) => onProgress({ name, phase: url, doneBytes, totalBytes })
    return await located.compareAll(image, { signal, blockBytes: this.#parts.store.blockBytes, onBytes })
  }

  async #find(name: string, signal: AbortSignal) {
    const { origin, entry } = await this.#parts.names.find(name, signal)
    const located = this.#parts.origins.find(each => each.origin === origin)?.located
    if (located) return { image: entry.image satisfies Image, located }
    throw new CacheError('invalid-argument', `${name} has one location alone: name others in origin.locations`)
  }
}
