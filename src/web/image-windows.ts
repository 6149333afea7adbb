/**
 * Image windows: a part of the list of images, by order and search. The list is made at most every few seconds for all
 * pages, by a walk that yields, and less often where that takes long.
 */
import { SharedRun } from '../async/shared-run.ts'
import { sorted, TimeSlice } from '../async/time-slice.ts'
import { LruMap } from '../base/lru-map.ts'
import type { ImageStatus } from '../cache/cache-status.ts'
import { webImagesCostShare, webImagesFreshMs, webImagesMax, webWindowsMax } from './limits.ts'

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
  #made: { readonly images: readonly ImageStatus[]; readonly freshMs: number } | null = null
  /** Answers of the present list, by request. */
  readonly #texts = new LruMap<string, string>(webWindowsMax)
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

  /** The window as JSON; pages that look at the same get the same. */
  async windowText(request: WindowRequest): Promise<string> {
    const before = this.#made
    const { from, count, order, search } = request
    const key = JSON.stringify([from, count, order, search])
    const kept = before && this.#now() < before.freshMs ? this.#texts.use(key) : undefined
    if (kept !== undefined) return kept
    const text = JSON.stringify(await this.window(request))
    if (this.#made && this.#now() < this.#made.freshMs) this.#texts.set(key, text)
    return text
  }

  /** Another list is to be made: something was changed on request. */
  forget(): void {
    this.#made = null
  }

  async #all(): Promise<readonly ImageStatus[]> {
    if (this.#made && this.#now() < this.#made.freshMs) return this.#made.images
    return this.#making.run(() => this.#make())
  }

  async #make(): Promise<readonly ImageStatus[]> {
    const startedMs = this.#now()
    const images: ImageStatus[] = []
    const slice = new TimeSlice(64)
    for (const image of this.#walk()) {
      if (slice.isOver) await slice.yield()
      images.push(image)
    }
    const pauseMs = Math.max(webImagesFreshMs, (this.#now() - startedMs) / webImagesCostShare)
    for (const key of [...this.#texts.keys()]) this.#texts.delete(key)
    this.#made = { images, freshMs: this.#now() + pauseMs }
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
