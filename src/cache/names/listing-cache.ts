/**
 * Listing cache: the names that an origin lists, asked for when the last answer is not fresh any more. However many
 * they are, they are walked in slices, and all readers share one array.
 */

import { SingleFlight } from '../../async/single-flight.ts'
import { TimeSlice } from '../../async/time-slice.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import { listingNamesMax } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { Origin, ReadOptions } from '../../origin/contract/origin.ts'
import type { IndexWriteQueue } from './index-write-queue.ts'
import { rememberedNamesMax, revalidateMsMax } from './limits.ts'
import { logUnanswered, noAnswer } from './unanswered-lookups.ts'

export interface ListingCacheOptions {
  readonly index: Pick<IndexDatabase, 'listing' | 'putListing'>
  readonly recorder: IndexWriteQueue
  readonly logger: Logger
  /** Has what was said `checkedMs` ago to be asked for again? */
  isFresh(origin: Origin, checkedMs: number): boolean
  /** The names of an origin that mean something. */
  known(origin: Origin): ReadonlyMap<string, unknown>
  /** A name that means something went from the listing. */
  readonly onVanished: (origin: Origin, name: string) => void
  readonly now: () => number
  /** Other than the default. */
  readonly namesMax?: number
  readonly rememberedNamesMax?: number
}

interface Listing {
  readonly names: readonly string[]
  readonly checkedMs: number
}

export class ListingCache {
  readonly #options: ListingCacheOptions
  readonly #startedMs: number
  readonly #namesMax: number
  /** By the origin's URL; null where the index has none. Others may be in the index. The bound is one of names. */
  readonly #listings: LruMap<string, Listing | null>
  readonly #loads = new SingleFlight<Listing | null>()
  readonly #lists = new SingleFlight<readonly string[]>()
  #cut = 0

  constructor(options: ListingCacheOptions) {
    this.#options = options
    this.#startedMs = options.now()
    this.#namesMax = options.namesMax ?? listingNamesMax
    const weightOf = (listing: Listing | null) => listing?.names.length ?? 0
    this.#listings = new LruMap(options.rememberedNamesMax ?? rememberedNamesMax, { weightOf })
  }

  /** Listings that had more names than are shown. */
  get cut(): number {
    return this.#cut
  }

  /**
   * The names of an origin now.
   * @throws CacheError access-denied, origin-*, aborted
   */
  async list(origin: Origin, { signal, opener }: ReadOptions): Promise<readonly string[]> {
    const known = await this.#listing(origin, signal)
    if (known && this.#options.isFresh(origin, known.checkedMs)) return known.names
    const asked = this.#lists.run(origin.url, signal, shared => this.#ask(origin, { signal: shared, opener }))
    if (!known) return asked
    try {
      return await withTimeout(revalidateMsMax, asked, () => noAnswer(origin.url))
    } catch (error) {
      if (isCacheError(error, 'access-denied', 'aborted')) throw error
      logUnanswered(this.#options.logger, { origin: origin.url, err: error })
      this.#listings.set(origin.url, { names: known.names, checkedMs: this.#options.now() })
      return known.names
    }
  }

  /** The names that it listed last, in this run or before; null: none are recorded. It is not asked. */
  async recorded(origin: Origin, signal: CancelSignal): Promise<readonly string[] | null> {
    return (await this.#listing(origin, signal))?.names ?? null
  }

  /** Its last answer, in this run or before. */
  async #listing(origin: Origin, signal: CancelSignal): Promise<Listing | null> {
    const listing = this.#listings.use(origin.url)
    if (listing !== undefined) return listing
    return await this.#loads.run(origin.url, signal, async () => {
      const names = await this.#options.index.listing(origin.url)
      const loaded = names && { names, checkedMs: this.#startedMs }
      this.#listings.set(origin.url, loaded)
      return loaded
    })
  }

  async #ask(origin: Origin, options: ReadOptions): Promise<readonly string[]> {
    const { index, recorder } = this.#options
    const listed = await origin.list(options)
    // An origin without listing shows the names that were found by asking for them, in an order that a successor has,
    // too.
    const now = listed ? this.#shownOf(origin, listed) : [...this.#options.known(origin).keys()].sort()
    const before = this.#listings.get(origin.url)?.names ?? null
    const bytes = await bytesUnlessSame(before, now)
    // The same array where they are the same: their readers have it already.
    const names = before && bytes === null ? before : now
    if (bytes !== null) {
      await recorder.record(origin.url, bytes, false, () => index.putListing(origin.url, names))
      await this.#noteVanished(origin, before ?? [], names)
    }
    this.#listings.set(origin.url, { names, checkedMs: this.#options.now() })
    return names
  }

  #shownOf(origin: Origin, listed: readonly string[]): readonly string[] {
    if (listed.length <= this.#namesMax) return listed
    this.#cut++
    const facts = { origin: origin.url, shown: this.#namesMax }
    this.#options.logger.warn(facts, 'the origin lists more names than are shown; the others are found by name')
    return listed.slice(0, this.#namesMax)
  }

  async #noteVanished(origin: Origin, before: readonly string[], names: readonly string[]): Promise<void> {
    const known = this.#options.known(origin)
    const vanished = new Set<string>()
    const turns = new TimeSlice()
    for (const name of known.size > 0 ? before : []) {
      if (turns.isOver) await turns.yield()
      if (known.has(name)) vanished.add(name)
    }
    for (const name of vanished.size > 0 ? names : []) {
      if (turns.isOver) await turns.yield()
      vanished.delete(name)
    }
    for (const name of vanished) this.#options.onVanished(origin, name)
  }
}

/** The bytes to write them down, about; null where they are those of before, in the same order. */
async function bytesUnlessSame(before: readonly string[] | null, names: readonly string[]): Promise<number | null> {
  const turns = new TimeSlice()
  let isSame = before?.length === names.length
  let bytes = 0
  for (const [k, name] of names.entries()) {
    if (turns.isOver) await turns.yield()
    if (isSame && before?.[k] !== name) isSame = false
    bytes += Buffer.byteLength(name) + 3
  }
  return isSame ? null : bytes
}
