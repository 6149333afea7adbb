/**
 * Removal of origins from a mount in use: their images vanish from listings at once and leave the cache, files that are
 * open go on, and at the end nothing of the origin is left, neither files nor records.
 *
 * Pinned images, open files and files that the kernel reads by itself hold a removal up; they are named. The kernel is
 * asked about each image, since an earlier worker may have opened it. A removal goes on in the background whoever waits
 * for it, and ends early when the origin is wanted again.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { abortable } from '../async/abortable.ts'
import { pause } from '../async/pause.ts'
import { CacheError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { ImageEntry, IndexDatabase } from '../index/index-database.ts'
import type { Store } from '../store/store.ts'
import type { OriginTable } from './fetch/origin-table.ts'
import { removalLookMs } from './limits.ts'
import type { ModeTable } from './modes/mode-table.ts'
import type { Catalog } from './names/catalog.ts'
import { forgottenPerTurnMax } from './names/limits.ts'
import type { KernelKnowledge } from './names/version-gc.ts'
import { added, type DrainProgress, type EmptiedCache, type HeldImage, waitingFor } from './operations/empty-cache.ts'
import { shownName } from './operations/named-images.ts'
import type { CacheOperations, LongOptions } from './operations/operations.ts'

export interface OriginRemovalContext {
  readonly origins: OriginTable
  readonly catalog: Catalog
  readonly store: Pick<Store, 'find' | 'removeImage'>
  readonly index: Pick<IndexDatabase, 'removeOrigin'>
  readonly modes: Pick<ModeTable, 'draining'>
  readonly digester: { forget(imageId: string): void }
  readonly operations: Pick<CacheOperations, 'evictAll'>
  readonly acquaintance: KernelKnowledge
  /** Is it open, or being read? */
  isInUse(imageId: string): boolean
  /** Resolves when nothing goes on as the modes of before said. Never rejects. */
  modesChanged(): Promise<void>
  readonly logger: Logger
}

interface Removal {
  readonly stop: AbortController
  readonly ended: Promise<void>
  emptied: EmptiedCache
  /** `ending`: the last step has begun, and nothing keeps the origin any more. */
  step: 'emptying' | 'ending' | 'done'
}

const nothing: EmptiedCache = { images: 0, objects: 0, bytes: 0, held: [] }

export class OriginRemovals {
  readonly #parts: OriginRemovalContext
  /** By URL. */
  readonly #removals = new Map<string, Removal>()
  /** Origins that may be wanted again: their removals do not end meanwhile. */
  #held: ReadonlySet<string> = new Set()
  /** An origin of which nothing is left: its holder closes it. */
  onRemoved: (url: string) => Promise<void> = async () => {}

  constructor(parts: OriginRemovalContext) {
    this.#parts = parts
  }

  /** Origins that are leaving, by URL. */
  get urls(): readonly string[] {
    return [...this.#removals.keys()]
  }

  /** Begin to remove an origin, if that has not begun. */
  begin(url: string): void {
    if (this.#removals.has(url)) return
    const stop = new AbortController()
    this.#parts.origins.leaving.add(url)
    const endDraining = this.#parts.modes.draining.begin([url])
    const removal: Removal = { stop, emptied: nothing, step: 'emptying', ended: Promise.resolve() }
    this.#removals.set(url, removal)
    Object.assign(removal, { ended: this.#run(url, removal).finally(endDraining) })
  }

  /**
   * Call `work` while none of these removals ends, so that it can cancel them. Those that were ending already are over
   * by then. One caller at a time.
   */
  async holding<T>(urls: ReadonlySet<string>, work: () => Promise<T>): Promise<T> {
    this.#held = urls
    try {
      const ending = [...this.#removals].filter(([url, { step }]) => step === 'ending' && urls.has(url))
      await Promise.all(ending.map(([, { ended }]) => ended))
      return await work()
    } finally {
      this.#held = new Set()
    }
  }

  /** It is wanted again, and held; resolves when it is shown as before. */
  async cancel(url: string): Promise<void> {
    const removal = this.#removals.get(url)
    if (!removal) return
    removal.stop.abort()
    await removal.ended
    this.#removals.delete(url)
    this.#parts.origins.leaving.delete(url)
  }

  /**
   * Wait for the end of a removal.
   * @throws CacheError not-found where none is under way, aborted
   */
  async wait(url: string, { signal, onProgress }: LongOptions<DrainProgress>): Promise<EmptiedCache> {
    const removal = this.#removals.get(url)
    if (!removal) throw new CacheError('not-found', `${url} is not being removed`)
    while (removal.step !== 'done') {
      const { held } = removal.emptied
      if (held.length > 0) onProgress(waitingFor('remove', held, removal.emptied))
      await abortable(Promise.race([removal.ended, pause(removalLookMs, signal)]), signal)
      if (removal.stop.signal.aborted) throw new CacheError('aborted', `${url} is wanted again, or the worker ends`)
    }
    return removal.emptied
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const removals = [...this.#removals.values()]
    for (const { stop } of removals) stop.abort()
    await Promise.all(removals.map(({ ended }) => ended))
  }

  /** Never rejects: what fails is in the log, and tried again. */
  async #run(url: string, removal: Removal): Promise<void> {
    const { signal } = removal.stop
    const { modesChanged, logger } = this.#parts
    await modesChanged()
    let failure = ''
    while (!signal.aborted) {
      try {
        const { held, ...freed } = await this.#pass(url, signal)
        removal.emptied = { ...added(removal.emptied, { ...freed, held: [] }), held }
        // A pass that was broken off has not seen all that hold it.
        if (held.length === 0 && !signal.aborted && !this.#held.has(url)) {
          removal.step = 'ending'
          await this.#parts.index.removeOrigin(url)
          await this.onRemoved(url)
          this.#removals.delete(url)
          this.#parts.origins.leaving.delete(url)
          removal.step = 'done'
          logger.info({ origin: url, bytes: removal.emptied.bytes }, 'the origin is removed')
          return
        }
      } catch (error) {
        removal.step = 'emptying'
        const isNew = messageOf(error) !== failure
        failure = messageOf(error)
        if (!signal.aborted && isNew) logger.warn({ origin: url, err: error }, 'an origin is not removed yet')
      }
      await pause(removalLookMs, signal)
    }
  }

  /** Evict and forget what nobody holds. */
  async #pass(url: string, signal: AbortSignal): Promise<EmptiedCache> {
    const { operations, origins, catalog } = this.#parts
    const emptied = await operations.evictAll(url, { signal, onProgress: () => {} })
    const held = new Map(emptied.held.map(each => [each.name, each]))
    const directory = origins.all.find(({ origin }) => origin.url === url)?.directory ?? null
    let looked = 0
    for (const { entry } of [...catalog.byUse()]) {
      if (++looked % forgottenPerTurnMax === 0) await nextTurn()
      if (signal.aborted) break
      if (entry.image.origin !== url || (await this.#forget(entry, directory))) continue
      const name = shownName(directory, entry.image.key)
      const bytes = this.#parts.store.find(entry.image.id)?.heldBytes ?? 0
      if (!held.has(name)) held.set(name, { name, bytes, by: 'open' } satisfies HeldImage)
    }
    return { ...emptied, held: [...held.values()] }
  }

  /** @returns whether it is known no more */
  async #forget(entry: ImageEntry, directory: string | null): Promise<boolean> {
    const { catalog, store, digester, acquaintance, isInUse } = this.#parts
    const { image, nodeId } = entry
    const mayGo = () => !isInUse(image.id) && (store.find(image.id)?.heldBytes ?? 0) === 0
    if (!mayGo() || (await acquaintance.knows(nodeId, { directory, name: image.key })) || !mayGo()) return false
    const { recorded, undo } = catalog.isSuperseded(image.id) ? this.#forgetSuperseded(entry) : catalog.letGo(entry)
    const [unnamed, retired] = await Promise.allSettled([recorded, store.removeImage(image.id)])
    const isGone = retired.status === 'fulfilled' && retired.value
    if (isGone) digester.forget(image.id)
    else undo()
    for (const result of [retired, unnamed]) if (result.status === 'rejected') throw result.reason
    return isGone
  }

  /** Its name belongs to another version. */
  #forgetSuperseded(entry: ImageEntry) {
    const { catalog } = this.#parts
    catalog.forget(entry)
    return { recorded: Promise.resolve(), undo: () => catalog.reinstate(entry) }
  }
}
