/**
 * Hit sets of all origins: fed by the reads that come to the main thread, and by the recency ticks of native hits.
 *
 * Native hits write the tick of their object, and nothing else. A walk over the held objects enters them each minute,
 * at the end of a period, and when they are evicted. The order and the number of uses between two walks are lost. So
 * are those of an object that is read ahead in the same tick. A crash loses what was entered since the last saving.
 * No answer to a reader depends on any of it.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import { TimeSlice } from '../../async/time-slice.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { EvictionCandidate } from '../../store/evict-objects.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { HitSetOptions } from './hit-set.ts'
import { HitSetHistory } from './hit-set-history.ts'
import { hitSetLookMs, hitSetSaveMs, visitMs, visitsMax, walkMs } from './limits.ts'

/** Settings of one origin. */
export interface HitSetSettings {
  readonly url: string
  readonly hitSet: HitSetOptions
  /** An object that is missing is promoted when it is in one of so many of the newest sets; 0: always. */
  readonly minReadRecency: number
}

export interface HitSetTableContext {
  readonly store: Pick<Store, 'images' | 'tick' | 'recordWithin' | 'capacity' | 'blockBytes'>
  readonly index: Pick<IndexDatabase, 'hitSets' | 'putHitSets'>
  readonly logger: Logger
  readonly origins: () => readonly HitSetSettings[]
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
}

/** Hit sets of one origin, for status. */
export interface HitSetStatus {
  readonly type: HitSetOptions['type']
  /** Sets there are now, and those that are kept at most. */
  readonly sets: number
  readonly count: number
  readonly periodSeconds: number
  readonly memoryBytes: number
  /** Objects that were used and found no room in their set, since the daemon started. */
  readonly overflow: number
}

/** Reads of one object that count as one use. */
interface Visit {
  readonly startedMs: number
  readonly promotes: boolean
}

type UsedObject = Pick<EvictionCandidate, 'stored' | 'object'> & { readonly lastUse: number | null }

export class HitSetTable {
  readonly #parts: HitSetTableContext
  readonly #histories = new Map<string, HitSetHistory>()
  readonly #recencies = new Map<string, number>()
  readonly #visits = new LruMap<string, Visit>(visitsMax)
  /** The tick in which an object was last fetched ahead: that is no use. */
  readonly #fetchedAhead = new LruMap<string, number>(visitsMax)
  readonly #looks: PeriodicTask
  /** Uses from this tick on may not have been entered. */
  #enteredTick: number
  #walkedMs: number
  #savedMs: number

  constructor(parts: HitSetTableContext) {
    this.#parts = parts
    this.#enteredTick = parts.store.tick
    this.#walkedMs = this.#savedMs = parts.wallMs()
    this.reconfigure()
    this.#looks = new PeriodicTask(hitSetLookMs, () => this.#look())
  }

  start(): void {
    this.#looks.start()
  }

  /** Take the settings of the origins, and origins that came or went. */
  reconfigure(): void {
    const { store, index, origins, wallMs } = this.#parts
    const objects = () => Math.ceil(store.capacity.capacityBytes / (store.blockBytes * 64))
    const urls = new Set(origins().map(({ url }) => url))
    for (const known of [this.#histories, this.#recencies]) {
      for (const url of known.keys()) if (!urls.has(url)) known.delete(url)
    }
    for (const { url, hitSet, minReadRecency } of origins()) {
      this.#recencies.set(url, minReadRecency)
      const known = this.#histories.get(url)
      if (known) known.change(hitSet, wallMs())
      else this.#histories.set(url, new HitSetHistory(hitSet, objects, wallMs(), index.hitSets(url)))
    }
  }

  /** A reader asks for a part of an object now. */
  used(stored: StoredImage, object: number): void {
    const history = this.#histories.get(stored.image.origin)
    if (!history || history.length === 0) return
    const key = stored.lockKey(object)
    const nowMs = this.#parts.wallMs()
    const visit = this.#visits.get(key)
    if (visit && nowMs >= visit.startedMs && nowMs < visit.startedMs + visitMs) return
    this.#visits.set(key, { startedMs: nowMs, promotes: this.#isRecent(stored, object) })
    history.add(stored.imageId, object)
  }

  /** It is fetched though nobody has asked for it. */
  fetchedAhead(stored: StoredImage, object: number): void {
    this.#fetchedAhead.set(stored.lockKey(object), this.#parts.store.tick)
  }

  /** An operator wants it in the cache. */
  wanted(stored: StoredImage, object: number): void {
    this.#visits.set(stored.lockKey(object), { startedMs: this.#parts.wallMs(), promotes: true })
  }

  /** Is it promoted, by `minReadRecency`? As it was before the reads of now. */
  mayPromote(stored: StoredImage, object: number): boolean {
    if ((this.#recencies.get(stored.image.origin) ?? 0) === 0) return true
    return this.#visits.get(stored.lockKey(object))?.promotes ?? this.#isRecent(stored, object)
  }

  /** Is it in any hit set? Where there are none, everything is. */
  isWarm({ stored, object, lastUse }: UsedObject): boolean {
    const history = this.#histories.get(stored.image.origin)
    if (!history || history.length === 0) return true
    return this.#isNewUse(stored, object, lastUse) || history.has(stored.imageId, object)
  }

  /** Objects are about to go: their uses are entered. */
  going(objects: readonly UsedObject[]): void {
    for (const { stored, object, lastUse } of objects) this.#enter(stored, object, lastUse)
  }

  /** By origin. */
  status(url: string): HitSetStatus | null {
    const history = this.#histories.get(url)
    if (!history) return null
    const { type, count, periodMs } = history.options
    const { length: sets, memoryBytes, overflow } = history
    return { type, sets, count, periodSeconds: periodMs / 1000, memoryBytes, overflow }
  }

  /** Objects of an image by the number of sets that they are in: first those in none. */
  async temperatures(image: { readonly id: string; readonly origin: string }, objects: number): Promise<number[]> {
    const history = this.#histories.get(image.origin)
    const counts = new Array<number>((history?.length ?? 0) + 1).fill(0)
    const turns = new TimeSlice()
    for (let object = 0; object < objects; object++) {
      if (turns.isOver) await turns.yield()
      const sets = Math.min(counts.length - 1, history?.temperature(image.id, object) ?? 0)
      counts[sets]!++
    }
    return counts
  }

  /** Enter the uses of the present. */
  async enterUses(): Promise<void> {
    const turns = new TimeSlice()
    const { store, wallMs } = this.#parts
    const { tick } = store
    for (const stored of store.images()) {
      if (!this.#histories.get(stored.image.origin)?.length) continue
      for (const object of stored.heldObjects()) {
        if (turns.isOver) await turns.yield()
        this.#enter(stored, object, stored.residency.lastUse(object))
      }
    }
    this.#enteredTick = tick
    this.#walkedMs = wallMs()
  }

  /** Keep them. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#looks.stop()
    await this.enterUses()
    await this.#save()
  }

  async #look(): Promise<void> {
    const nowMs = this.#parts.wallMs()
    const histories = [...this.#histories.values()]
    const isOver = histories.some(history => history.isOver(nowMs))
    if (isOver || nowMs >= this.#walkedMs + walkMs) await this.enterUses()
    for (const history of histories) history.rotate(nowMs)
    if (isOver || nowMs >= this.#savedMs + hitSetSaveMs) await this.#save()
  }

  /** Never rejects: reports to the log. */
  async #save(): Promise<void> {
    const { store, index, logger, wallMs } = this.#parts
    this.#savedMs = wallMs()
    for (const [url, history] of this.#histories) {
      const changes = history.takeChanges()
      if (!changes) continue
      const { changed, startedMs } = changes
      const bytes = changed.reduce((sum, { content }) => sum + content.length, 0)
      try {
        const isKept = await store.recordWithin(bytes, false, () => index.putHitSets(url, changed, startedMs))
        if (!isKept) history.putBack()
      } catch (error) {
        history.putBack()
        logger.warn({ err: error }, 'hit sets could not be saved; they are saved with the next period')
      }
    }
  }

  #enter(stored: StoredImage, object: number, lastUse: number | null): void {
    if (!this.#isNewUse(stored, object, lastUse)) return
    this.#histories.get(stored.image.origin)?.add(stored.imageId, object)
  }

  #isNewUse(stored: StoredImage, object: number, lastUse: number | null): boolean {
    if (lastUse === null || lastUse < this.#enteredTick) return false
    return this.#fetchedAhead.get(stored.lockKey(object)) !== lastUse
  }

  #isRecent({ image, imageId }: StoredImage, object: number): boolean {
    const among = this.#recencies.get(image.origin) ?? 0
    const history = this.#histories.get(image.origin)
    return !history || history.length === 0 || among === 0 || history.has(imageId, object, among)
  }
}
