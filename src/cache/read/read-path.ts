/**
 * Read path: assembles the miss reader, the fetcher and the prefetcher.
 */

import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { type MissTraces, noTraces } from '../../base/trace.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { OriginReader } from '../../native/origin-reader.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { Evictor } from '../evict/evictor.ts'
import type { ForeignObjects } from '../evict/foreign-objects.ts'
import type { HitSetTable } from '../evict/hit-set-table.ts'
import type { PromotionGate } from '../evict/promotion-gate.ts'
import { BufferPool } from '../fetch/buffer-pool.ts'
import { FetchBudgets } from '../fetch/fetch-budgets.ts'
import { Fetcher } from '../fetch/fetcher.ts'
import { InflightTable } from '../fetch/inflight-table.ts'
import { profileShareMax, unpromotedBytesMax } from '../fetch/limits.ts'
import { type FetchEngine, NativeFetches } from '../fetch/native-fetches.ts'
import type { OriginTable } from '../fetch/origin-table.ts'
import type { Promoter } from '../fetch/promoter.ts'
import type { Promote } from '../fetch/promotion-handoff.ts'
import { ReadaheadBuffer } from '../fetch/readahead-buffer.ts'
import { SequentialFill } from '../fetch/sequential-fill.ts'
import { UnpromotedBuffer } from '../fetch/unpromoted-buffer.ts'
import type { DigestVerifier } from '../integrity/digest-verifier.ts'
import { keepsMisses, servesHits } from '../modes/cache-mode.ts'
import type { ModeTable } from '../modes/mode-table.ts'
import type { Catalog } from '../names/catalog.ts'
import type { UseSampler } from '../plan/use-sampler.ts'
import { type BootProfileCounters, BootProfileRecorder } from '../prefetch/boot-profile-recorder.ts'
import type { ProfileGroup } from '../prefetch/group-profiles.ts'
import { type PrefetchCounters, Prefetcher } from '../prefetch/prefetcher.ts'
import { MissReader, type ObjectUses } from './miss-reader.ts'

export interface ReadPathLimits {
  /** Bytes on their way to readers that wait for them. */
  readonly fetchBytesMax: number
  /** Bytes that are prefetched ahead of a reader at most; 0 for none. */
  readonly readAheadBytesMax: number
}

export interface ReadPathContext extends ReadPathLimits {
  readonly store: Store
  readonly origins: OriginTable
  readonly index: IndexDatabase
  readonly logger: Logger
  /** Makes memory that all threads see, from the begin of a page on. */
  readonly allocateShared?: ((bytes: number) => Uint8Array) | undefined
  /** Runs the fetches of session threads. None when absent. */
  readonly engine?: FetchEngine | undefined
  /** See {@link BootProfileRecorder}. */
  readonly profileGroup?: ProfileGroup | undefined
  /** Begins the traces of misses. None are traced when absent. */
  readonly traces?: MissTraces | undefined
  /** See {@link PromotionHandoffContext}. */
  readonly promotionDelayMs?: number | undefined
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly catalog: Pick<Catalog, 'isRecorded' | 'imageChanged'>
  readonly digester: Pick<DigestVerifier, 'isSound' | 'check' | 'condemn'>
  readonly modes: Pick<ModeTable, 'of'>
  readonly promoter: Promoter
  readonly evictor: Pick<Evictor, 'check' | 'checkNow'>
  readonly gate: Pick<PromotionGate, 'enter' | 'settled'>
  readonly hitSets: Pick<HitSetTable, 'used' | 'fetchedAhead' | 'wanted'>
  readonly foreign: Pick<ForeignObjects, 'touch'>
  readonly sampler: Pick<UseSampler, 'used'>
}

/** Counters of prefetches. */
export interface PrefetchStatus extends PrefetchCounters {
  /** Fetched, and in memory for readers. */
  readonly bufferedBytes: number
  readonly profiles: BootProfileCounters
}

/** The share of the capacity that a window takes at most: what is read ahead must not drive itself out. */
const windowShareMax = 1 / 32

export class ReadPath {
  readonly reader: MissReader
  readonly fetches = new InflightTable()
  readonly #fetchBudgets: FetchBudgets
  readonly #parts: ReadPathContext
  readonly #unpromoted: UnpromotedBuffer
  readonly #readahead: ReadaheadBuffer
  readonly #ahead: Prefetcher
  readonly #fetcher: Fetcher
  readonly #native: NativeFetches
  readonly profiles: BootProfileRecorder
  #readAheadBytesMax: number
  #withheldBytes = 0
  #isClosed = false

  constructor(parts: ReadPathContext) {
    const { store, origins, now, traces = noTraces } = parts
    this.#parts = parts
    this.#readAheadBytesMax = parts.readAheadBytesMax
    this.#fetchBudgets = new FetchBudgets(parts.fetchBytesMax, urlsOf(origins))
    this.#unpromoted = new UnpromotedBuffer(unpromotedBytesMax, now)
    const memory = new BufferPool({}, parts.allocateShared)
    this.#readahead = new ReadaheadBuffer({ memory, now, isSound: stored => this.#isSound(stored) })
    this.#native = new NativeFetches(parts.engine ?? null, {
      ...{ traces, now },
      fetches: this.fetches,
      isStored: stored => store.find(stored.imageId) === stored,
      count: (image, range, ms) => {
        origins.nativeReadsOf(image)?.count(image, range, ms)
        origins.pathOf(image).arrivedNatively(range.length, ms)
      },
    })
    const fetcher = (this.#fetcher = new Fetcher({
      ...{ fetches: this.fetches, native: this.#native, fetchBudgets: this.#fetchBudgets },
      ...{ unpromoted: this.#unpromoted, readahead: this.#readahead, memory },
      promotionDelayMs: parts.promotionDelayMs,
      origins,
      now,
      onFetchAhead: (stored, object) => parts.hitSets.fetchedAhead(stored, object),
      // The demand reads of a long stream are dropped behind it, too.
      isPassing: (stored, { isPassing, object, run }) =>
        isPassing || this.#ahead.isPassing(stored, { object, first: run.first }),
      promote: (...offer) => this.#promote(...offer),
      mayPromote: (stored, bytes) => this.#mayPromote(stored, bytes),
      imageChanged: image => parts.catalog.imageChanged(image),
    }))
    this.#ahead = new Prefetcher({
      fetcher,
      requestsMax: ({ image }) => (this.#readAheadBytesMax > 0 ? origins.prefetchRequestsMax(image) : 0),
      // Readers take from memory what the store refuses.
      hasRoom: (stored, bytes, isPassing) =>
        (store.capacity.fits(bytes) && this.#mayPromote(stored, bytes, isPassing)) || this.#readahead.hasRoom(bytes),
      pathOf: ({ image }) => origins.pathOf(image),
      readAroundOf: ({ image }) => origins.readAroundOf(image),
      onLeft: (stored, { from, to }) => void stored.dropPages(from, to - from), // Never rejects.
      onBlocks: (stored, span) => this.profiles.read(stored, span),
      windowBytesMax: () => Math.min(this.#readAheadBytesMax, store.capacity.capacityBytes * windowShareMax),
    })
    this.profiles = new BootProfileRecorder({
      ...parts,
      recordWithin: (bytes, write) => store.recordWithin(bytes, false, write),
      tick: () => store.tick,
      bytesMax: () => store.capacity.capacityBytes * profileShareMax,
      fetch: (stored, profile, bytesMax) => {
        if (this.#isKept(stored)) this.#ahead.fetchProfile(stored, profile, bytesMax)
      },
    })
    this.reader = new MissReader({
      ...{ fetcher, memory, traces, uses: this.#uses() },
      onRead: (stored, read) => {
        this.#readahead.touched(stored, read.offset, read.length)
        if (this.#readAheadBytesMax > 0) this.#ahead.onRead(stored, read)
      },
      missTimeoutFor: image => origins.missTimeoutFor(image),
      stored: async image => (this.#mayAsk(image) ? this.#use(image) : null),
      isReadable: stored => this.#mayAsk(stored.image) && store.find(stored.imageId) === stored,
      find: image => (this.#mayAsk(image) ? store.find(image.id) : null),
      readForOthers: (stored, object) => parts.foreign.touch(stored, object, store.tick),
      imageChanged: image => {
        this.closed(image.id)
        parts.catalog.imageChanged(image)
      },
    })
    this.#landPasses()
  }

  #uses(): ObjectUses {
    const { hitSets, sampler } = this.#parts
    return {
      used(stored, object, blocks) {
        hitSets.used(stored, object)
        if (blocks !== 0n) sampler.used(stored.file.number, object, blocks)
      },
      wanted: (stored, object) => hitSets.wanted(stored, object),
    }
  }

  /** Origins that have come since have their passes landed, too. */
  #landPasses(): void {
    for (const { passes } of this.#parts.origins.all) passes?.landWith(image => this.#beginLanding(image))
  }

  async #beginLanding(image: Image): Promise<SequentialFill | null> {
    const { store, evictor, digester } = this.#parts
    const stored = this.#mayAsk(image) ? await this.#use(image) : null
    if (!stored) return null
    return new SequentialFill(stored, {
      fetcher: this.#fetcher,
      isWritable: () =>
        !this.#isClosed &&
        this.#isKept(stored) &&
        this.#isSound(stored) &&
        store.health.mayWrite &&
        store.find(stored.imageId) === stored,
      fits: bytes => store.capacity.fits(bytes),
      // As a long stream: a quarter of the queue is left to what readers fetch.
      mayPromote: (_, bytes) => this.#mayPromote(stored, bytes, true),
      onCorrupt: (_, error) => void digester.condemn(stored, error), // Never rejects.
      makeRoom: () => evictor.checkNow(),
    })
  }

  /** Bytes that were answered and not promoted, because the mode of their image says so. */
  get withheldBytes(): number {
    return this.#withheldBytes
  }

  /** Extents being fetched or promoted now. */
  get fetchesUnderWay(): number {
    return this.fetches.size - this.#unpromoted.size - this.#fetcher.bufferedFetches
  }

  get prefetchCounters(): PrefetchStatus {
    return { ...this.#ahead.counters, bufferedBytes: this.#readahead.usedBytes, profiles: this.profiles.counters }
  }

  /**
   * Begin an open of an image.
   * @returns the image in the store; null where the store cannot take it, or is not asked
   */
  async open(image: Image): Promise<StoredImage | null> {
    const stored = await this.attach(image)
    if (stored && this.#readAheadBytesMax > 0 && this.#isKept(stored)) this.profiles.opened(stored)
    return stored
  }

  /** Have session threads read an open image, as far as its mode lets them: see {@link open}. */
  async attach(image: Image): Promise<StoredImage | null> {
    if (!servesHits(this.#parts.modes.of(image))) {
      this.closed(image.id)
      return null
    }
    const stored = await this.#use(image)
    if (!stored || !servesHits(this.#parts.modes.of(image))) return null
    this.#native.watch(stored)
    const use = (reader: OriginReader | null) =>
      // Of a damaged image nothing may be served.
      stored.file.setFetchOrigin(reader && this.#isSound(stored) ? reader : null)
    this.#parts.origins.nativeReadsOf(image)?.follow(stored.image, use)
    return stored
  }

  /** An image is not open any more, or its version is gone: session threads read nothing of it from its origin. */
  closed(imageId: string): void {
    for (const { direct } of this.#parts.origins.all) direct?.unfollow(imageId)
  }

  /** Other limits from now on. */
  reconfigure(limits: ReadPathLimits): void {
    this.#fetchBudgets.change(limits.fetchBytesMax, urlsOf(this.#parts.origins))
    this.#readAheadBytesMax = limits.readAheadBytesMax
    this.#landPasses()
  }

  /** Cancel what has not arrived; resolves when the rest has been promoted or dropped. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#ahead.close()
    this.#readahead.close()
    this.#unpromoted.close()
    this.#native.close()
    await this.fetches.close()
    await this.profiles.close()
  }

  /**
   * The image in the store. One that is not recorded, not yet or not any more, gets no data file: a start would not
   * know it.
   */
  async #use(image: Image): Promise<StoredImage | null> {
    const { catalog, store } = this.#parts
    return catalog.isRecorded(image) ? store.use(image) : store.find(image.id)
  }

  /** @returns of each extent whether it is in the store now */
  async #promote(...[stored, extents, isPassing]: Parameters<Promote>): Promise<boolean[]> {
    const { digester, evictor, gate, promoter } = this.#parts
    if (!this.#isKept(stored)) {
      for (const { bytes } of extents) this.#withheldBytes += bytes.length
      return extents.map(() => false)
    }
    if (!this.#isSound(stored)) return extents.map(() => false)
    const isPassed = this.#parts.origins.isSequential(stored.image)
    const admitted = extents.map(({ object, bytes }) => {
      const refusal = gate.enter(stored, object, bytes.length, isPassed)
      if (refusal) promoter.refused(refusal)
      return refusal === null
    })
    const offered = extents.filter((_, k) => admitted[k])
    const ends = await promoter.offer(stored, offered, isPassing)
    for (const { bytes } of offered) gate.settled(bytes.length)
    let k = 0
    const outcomes = admitted.map(isAdmitted => (isAdmitted ? ends[k++]! : 'full'))
    if (stored.complete) digester.check()
    void evictor.check() // Never rejects.
    return outcomes.map(outcome => outcome === 'landed' || outcome === 'held-already')
  }

  /** Would so many bytes be taken now? */
  #mayPromote(stored: StoredImage, bytes: number, isPassing?: boolean): boolean {
    const { promoter, store } = this.#parts
    return this.#isKept(stored) && this.#isSound(stored) && store.health.mayWrite && promoter.hasRoom(bytes, isPassing)
  }

  /** Does its mode let what was fetched be promoted? */
  #isKept({ image }: StoredImage): boolean {
    return keepsMisses(this.#parts.modes.of(image))
  }

  /** May the store be asked about an image, and its disk be waited for? */
  #mayAsk(image: Image): boolean {
    return this.#parts.store.health.mayWait && servesHits(this.#parts.modes.of(image))
  }

  /** Is it without known damage? */
  #isSound({ image }: StoredImage): boolean {
    return this.#parts.digester.isSound(image)
  }
}

function urlsOf({ all }: OriginTable): string[] {
  return all.map(({ origin }) => origin.url)
}
