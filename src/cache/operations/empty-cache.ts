/**
 * Empties the cache, whole or of one origin: `evict --all` frees what can be freed now, `drain` keeps nothing more and
 * goes on until nothing is left.
 *
 * Pinned images stay, and files that the kernel reads by itself: a drain names them and waits for an operator to unpin
 * them, and for their readers to close them. Open images go on, from the origin.
 */
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { EvictionProgress, Evictor } from '../evict/evictor.ts'
import type { Pins } from '../evict/pins.ts'
import { keepsMisses } from '../modes/cache-mode.ts'
import type { ModeTable } from '../modes/mode-table.ts'
import { drainHoldersShownMax, drainLookMs } from './limits.ts'
import { type NamedImages, type NamedOrigin, shownName } from './named-images.ts'

/** An image that was not emptied. */
export interface HeldImage {
  readonly name: string
  readonly bytes: number
  /** `open`: readers have it open; of a removal only. `use`: it was read or promoted all the time. */
  readonly by: 'pin' | 'passthrough' | 'open' | 'use'
}

/** The outcome for all images. */
export interface EmptiedCache {
  /** Images of which something was evicted. */
  readonly images: number
  readonly objects: number
  readonly bytes: number
  readonly held: readonly HeldImage[]
}

/** The progress of a drain beside that of its evictions. */
export interface DrainProgress extends Omit<EvictionProgress, 'phase'> {
  readonly phase: string
}

export interface EmptyCacheContext {
  readonly store: Store
  readonly evictor: Evictor
  readonly pins: Pick<Pins, 'keeps'>
  readonly names: NamedImages
  readonly origins: readonly NamedOrigin[]
  readonly modes: ModeTable
  /** Resolves when nothing goes on as the modes of before said. Never rejects. */
  modesChanged(): Promise<void>
}

interface EmptyOptions {
  readonly signal: CancelSignal
  readonly onProgress: (progress: DrainProgress) => void
}

const nothing: EmptiedCache = { images: 0, objects: 0, bytes: 0, held: [] }

export class EmptyCache {
  readonly #parts: EmptyCacheContext

  constructor(parts: EmptyCacheContext) {
    this.#parts = parts
  }

  /**
   * Evict all that may go now.
   * @param origin its directory or URL; null for all
   * @throws CacheError not-found, store-failed, aborted, closed, index-failed
   */
  async evictAll(origin: string | null, options: EmptyOptions): Promise<EmptiedCache> {
    const urls = origin === null ? null : new Set(this.#urlsOf(origin))
    let total = nothing
    for (const stored of [...this.#parts.store.images()]) {
      if (urls === null || urls.has(stored.image.origin)) total = added(total, await this.#empty(stored, options))
    }
    return total
  }

  /**
   * Keep nothing more, evict all, and resolve when nothing is held. One that is given up leaves the mode at `proxy`.
   * @param origin its directory or URL; null for all
   * @throws CacheError not-found, store-failed, aborted, closed, index-failed
   */
  async drain(origin: string | null, options: EmptyOptions): Promise<EmptiedCache> {
    const { modes, modesChanged } = this.#parts
    const urls = this.#urlsOf(origin)
    const end = modes.draining.begin(urls)
    try {
      await this.#keepNothing(origin === null, urls)
      await modesChanged()
      for (let total = nothing; ; ) {
        const { held, ...freed } = await this.evictAll(origin, options)
        total = added(total, { ...freed, held: [] })
        if (held.length === 0) return total
        options.onProgress(waitingFor('drain', held, total))
        await pause(drainLookMs, options.signal)
        throwIfAborted(options.signal)
      }
    } finally {
      end()
    }
  }

  #urlsOf(origin: string | null): readonly string[] {
    const { names, origins } = this.#parts
    return (origin === null ? origins : [names.origin(origin)]).map(({ origin: { url } }) => url)
  }

  /** Modes that keep nothing anyway stay as they are. */
  async #keepNothing(isAll: boolean, urls: readonly string[]): Promise<void> {
    const { modes } = this.#parts
    if (isAll && keepsMisses(modes.ofMount)) await modes.say({ origin: null, name: null }, 'proxy')
    for (const origin of urls) {
      if (keepsMisses(modes.ofOrigin(origin))) await modes.say({ origin, name: null }, 'proxy')
      for (const name of modes.namesOf(origin)) {
        if (keepsMisses(modes.of({ origin, key: name }))) await modes.say({ origin, name }, 'proxy')
      }
    }
  }

  async #empty(stored: StoredImage, { signal, onProgress }: EmptyOptions): Promise<EmptiedCache> {
    const { store, evictor, pins } = this.#parts
    throwIfAborted(signal)
    if (stored.heldBytes === 0) return nothing
    const name = this.#nameOf(stored)
    const held = (by: HeldImage['by']) => [{ name, bytes: stored.heldBytes, by }]
    if (pins.keeps(stored.image)) return { ...nothing, held: held('pin') }
    if (stored.kernelRefs.exist) return { ...nothing, held: held('passthrough') }
    if (!store.health.mayWrite) {
      const why = `the cache disk is ${store.health.state} (${store.health.reason})`
      throw new CacheError('store-failed', `nothing is evicted: ${why}: try again when "parentfs status" says healthy`)
    }
    const { objects, bytes, leftBy } = await evictor.evictImage(name, stored, { signal, onProgress })
    return { images: objects > 0 ? 1 : 0, objects, bytes, held: leftBy === null ? [] : held(leftBy) }
  }

  #nameOf({ image }: StoredImage): string {
    const origin = this.#parts.origins.find(({ origin: { url } }) => url === image.origin)
    return shownName(origin?.directory ?? null, image.key)
  }
}

/** Both together. */
export function added(total: EmptiedCache, more: EmptiedCache): EmptiedCache {
  return {
    images: total.images + more.images,
    objects: total.objects + more.objects,
    bytes: total.bytes + more.bytes,
    held: [...total.held, ...more.held],
  }
}

const holders = { pin: 'pinned', passthrough: 'open by passthrough', open: 'open', use: 'in use' } as const

/** `a.raw (pinned), b.raw (open by passthrough) and 3 more` */
export function namesOfHeld(held: readonly HeldImage[]): string {
  const shown = held.slice(0, drainHoldersShownMax).map(({ name, by }) => `${name} (${holders[by]})`)
  const more = held.length > shown.length ? ` and ${held.length - shown.length} more` : ''
  return `${shown.join(', ')}${more}`
}

/** The progress of what waits for holders. */
export function waitingFor(
  name: string,
  held: readonly HeldImage[],
  { bytes: doneBytes }: EmptiedCache,
): DrainProgress {
  const leftBytes = held.reduce((sum, { bytes }) => sum + bytes, 0)
  const phase = `waits for ${namesOfHeld(held)}`
  return { name, phase, doneBytes, totalBytes: doneBytes + leftBytes }
}
