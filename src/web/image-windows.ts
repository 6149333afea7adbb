/**
 * Image windows: a part of the list of images, by order and search. The list is made at most every few seconds for all
 * pages, by a walk that yields.
 */
import { SharedRun } from '../async/shared-run.ts'
import { sorted, TimeSlice } from '../async/time-slice.ts'
import type { ImageStatus } from '../cache/cache-status.ts'
import { webImagesFreshMs, webImagesMax } from './limits.ts'

/** Orders of the list; all but by name have the largest first. */
export const imageOrders = ['name', 'size', 'resident', 'hits', 'misses'] as const
export type ImageOrder = (typeof imageOrders)[number]

export interface WindowRequest {
  readonly from: number
  readonly count: number
  readonly order: ImageOrder
  /** Part of the name, in any case; empty: all. */
  readonly search: string
}

export interface ImageWindow {
  /** Images that the search finds, and all. */
  readonly found: number
  readonly total: number
  readonly from: number
  readonly images: readonly ImageStatus[]
}

const weightOf: Readonly<Record<Exclude<ImageOrder, 'name'>, (image: ImageStatus) => number>> = {
  size: image => image.sizeBytes,
  resident: image => image.residentBytes,
  hits: image => image.hitBytes,
  misses: image => image.missBytes,
}

export class ImageWindows {
  readonly #walk: () => Iterable<ImageStatus>
  readonly #now: () => number
  readonly #making = new SharedRun<readonly ImageStatus[]>()
  #made: { readonly images: readonly ImageStatus[]; readonly atMs: number } | null = null
  /** The last order and search, and their result. */
  #last: { readonly key: string; readonly images: readonly ImageStatus[]; readonly of: unknown } | null = null

  /** @param walk the images in the order of their names */
  constructor(walk: () => Iterable<ImageStatus>, now: () => number = () => performance.now()) {
    this.#walk = walk
    this.#now = now
  }

  async window({ from, count, order, search }: WindowRequest): Promise<ImageWindow> {
    const all = await this.#all()
    const key = `${order} ${search}`
    if (this.#last?.key !== key || this.#last.of !== all) {
      this.#last = { key, images: await arranged(all, order, search), of: all }
    }
    const { images } = this.#last
    const shown = images.slice(from, from + Math.min(count, webImagesMax))
    return { found: images.length, total: all.length, from, images: shown }
  }

  /** Another list is to be made: something was changed on request. */
  forget(): void {
    this.#made = null
  }

  async #all(): Promise<readonly ImageStatus[]> {
    if (this.#made && this.#now() - this.#made.atMs < webImagesFreshMs) return this.#made.images
    const images = await this.#making.run(() => this.#collect())
    this.#made = { images, atMs: this.#now() }
    return images
  }

  async #collect(): Promise<readonly ImageStatus[]> {
    const images: ImageStatus[] = []
    const slice = new TimeSlice(64)
    for (const image of this.#walk()) {
      if (slice.isOver) await slice.yield()
      images.push(image)
    }
    return images
  }
}

async function arranged(
  all: readonly ImageStatus[],
  order: ImageOrder,
  search: string,
): Promise<readonly ImageStatus[]> {
  const wanted = search.toLowerCase()
  const slice = new TimeSlice(256)
  let found = all
  if (wanted !== '') {
    const matching: ImageStatus[] = []
    for (const image of all) {
      if (slice.isOver) await slice.yield()
      if (image.name.toLowerCase().includes(wanted)) matching.push(image)
    }
    found = matching
  }
  if (order === 'name') return found
  return sorted(found, image => -weightOf[order](image), slice)
}
