/**
 * Pins: names whose images are never evicted. They are recorded in the index and follow the name: when it means a new
 * version, that one is kept and the old one is not.
 *
 * At most half of the capacity can be pinned, so that eviction always finds something. A pin that could go beyond with
 * its whole image is refused. When the capacity shrinks, or an image grows with a new version, the oldest pins are kept
 * as far as that half goes.
 */
import prettyBytes from 'pretty-bytes'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import { pinnedShareMax, pinsMax } from './limits.ts'

export interface PinsContext {
  readonly index: IndexDatabase
  readonly store: Store
  readonly origins: readonly Origin[]
  /** The image that a name means now, nothing asked; null when it means none. */
  imageOf(origin: Origin, name: string): Image | null
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
}

interface Pin {
  readonly origin: Origin
  readonly name: string
  readonly pinnedMs: number
}

export class Pins {
  readonly #parts: PinsContext
  /** Oldest first. */
  #pins: readonly Pin[]

  constructor(parts: PinsContext) {
    this.#parts = parts
    this.#pins = parts.origins
      .flatMap(origin => parts.index.pins(origin.url).map(pin => ({ ...pin, origin })))
      .sort((a, b) => a.pinnedMs - b.pinnedMs)
  }

  /** An origin that came later, with what was pinned of it. */
  adopt(origin: Origin): void {
    const adopted = this.#parts.index.pins(origin.url).map(pin => ({ ...pin, origin }))
    this.#pins = [...this.#pins, ...adopted].sort((a, b) => a.pinnedMs - b.pinnedMs)
  }

  /** An origin has gone, and its pins with it. */
  drop({ url }: Origin): void {
    this.#pins = this.#pins.filter(({ origin }) => origin.url !== url)
  }

  has(origin: Origin, name: string): boolean {
    return this.#pins.some(pin => pin.origin === origin && pin.name === name)
  }

  /** Is this the image that a pinned name means now? */
  keeps(image: Image): boolean {
    return this.#pins.some(pin => pin.name === image.key && pin.origin.url === image.origin)
  }

  /** Bytes of pinned images: held, at most (their blocks, without known zeros), and allowed. */
  get bytes(): { readonly heldBytes: number; readonly maxBytes: number; readonly allowedBytes: number } {
    let [heldBytes, maxBytes] = [0, 0]
    for (const image of this.#images()) {
      const stored = this.#parts.store.find(image.id)
      heldBytes += stored ? dataBytes(stored) : 0
      maxBytes += this.#maxBytes(image)
    }
    return { heldBytes, maxBytes, allowedBytes: this.#allowedBytes() }
  }

  /**
   * Ids of the images that eviction leaves alone: the oldest pins whose costs together stay within `costMax`.
   * @param cost of keeping an image
   */
  kept(cost: (stored: StoredImage) => number, costMax: number): ReadonlySet<string> {
    const kept = new Set<string>()
    let sum = 0
    for (const { id } of this.#images()) {
      const stored = this.#parts.store.find(id)
      if (!stored || kept.has(id)) continue
      const next = sum + cost(stored)
      if (next > costMax) continue
      kept.add(id)
      sum = next
    }
    return kept
  }

  /**
   * Idempotent.
   * @throws CacheError invalid-argument when it would be too much, index-failed
   */
  async pin(origin: Origin, name: string, image: Image): Promise<void> {
    if (this.has(origin, name)) return
    const { maxBytes } = this.bytes
    const [needed, allowed] = [this.#maxBytes(image), this.#allowedBytes()]
    if (maxBytes + needed > allowed) {
      const figures = `it may take ${size(needed)}, ${size(maxBytes)} of ${size(allowed)} are pinned already (half of the capacity)`
      const advice =
        'unpin another, set a larger capacity, or promote it first: what turns out to be zeros does not count'
      throw new CacheError('invalid-argument', `${name} cannot be pinned: ${figures}: ${advice}`)
    }
    if (this.#pins.length >= pinsMax) {
      throw new CacheError('invalid-argument', `${name} cannot be pinned: ${pinsMax} images are: unpin another`)
    }
    const pin = { origin, name, pinnedMs: this.#parts.wallMs() }
    this.#pins = [...this.#pins, pin]
    try {
      await this.#parts.index.putPin(origin.url, pin)
    } catch (error) {
      this.#pins = this.#pins.filter(each => each !== pin)
      throw error
    }
  }

  /** @throws CacheError not-found when it is not pinned, index-failed */
  async unpin(origin: Origin, name: string): Promise<void> {
    if (!this.has(origin, name)) {
      throw new CacheError('not-found', `${name} is not pinned: "parentfs images" shows what is`)
    }
    await this.#parts.index.removePin(origin.url, name)
    this.#pins = this.#pins.filter(pin => pin.origin !== origin || pin.name !== name)
  }

  *#images(): Generator<Image> {
    for (const { origin, name } of this.#pins) {
      const image = this.#parts.imageOf(origin, name)
      if (image) yield image
    }
  }

  #maxBytes(image: Image): number {
    return image.sizeBytes - (this.#parts.store.find(image.id)?.zeroBytes ?? 0)
  }

  #allowedBytes(): number {
    return Math.floor(this.#parts.store.capacity.capacityBytes * pinnedShareMax)
  }
}

/** Bytes of the held blocks of an image on disk. */
export function dataBytes(stored: StoredImage): number {
  return stored.heldBytes - stored.zeroBytes
}

function size(bytes: number): string {
  return prettyBytes(bytes, { binary: true })
}
