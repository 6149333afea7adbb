/**
 * Fetcher: brings extents from an origin to readers and into the store. Each is fetched once, however many want it.
 *
 * A demand fetch starts at once. A prefetch is an in-flight fetch like any other, which readers join; once its bytes
 * have arrived, they are in the read-ahead buffer as well.
 */
import { abortable } from '../../async/abortable.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import { type BlockRun, type Image, runsOf } from '../../base/image.ts'
import { endingWith, type TraceSpan } from '../../base/trace.ts'
import type { JoinedFetch } from '../../native/addon.ts'
import type { ReadOptions } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { type BufferPool, LazyBuffer, type PooledBuffer } from './buffer-pool.ts'
import type { FetchBudgets } from './fetch-budgets.ts'
import { InflightFetch } from './inflight-fetch.ts'
import type { NativeFetches } from './native-fetches.ts'
import type { OriginTable } from './origin-table.ts'
import { PromotionHandoff, type PromotionHandoffContext } from './promotion-handoff.ts'
import type { PrefetchListener, ReadaheadBuffer } from './readahead-buffer.ts'

export interface FetcherContext extends PromotionHandoffContext {
  /** Bytes on their way because a reader waits for them. */
  readonly fetchBudgets: FetchBudgets
  readonly memory: BufferPool
  readonly readahead: ReadaheadBuffer
  readonly origins: Pick<OriginTable, 'of' | 'pathOf' | 'isSequential'>
  readonly native: NativeFetches
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Blocks of an object are fetched though no reader has asked for them. */
  onFetchAhead(stored: StoredImage, object: number): void
  /** The origin no longer has this version. */
  imageChanged(image: Image): void
}

/** A run of blocks of an object. */
export interface BlocksOfObject {
  readonly object: number
  readonly run: BlockRun
}

/** Bytes [offset, offset + length) of the image. */
export interface DemandRange {
  readonly offset: number
  readonly length: number
}

/** A reader that fetches are begun for. */
export interface FetchReader {
  /** Its process. */
  readonly opener?: number | undefined
  /** Its read is traced. */
  readonly trace?: TraceSpan | undefined
}

const noReader: FetchReader = {}

/** See {@link Fetcher.land}. */
export interface LandingRun {
  readonly target: Uint8Array
  readonly settled: Promise<void>
}

export class Fetcher {
  readonly #parts: FetcherContext
  readonly #landings: PromotionHandoff
  #demanded = 0
  #demandedBytes = 0

  constructor(parts: FetcherContext) {
    this.#parts = parts
    this.#landings = new PromotionHandoff(parts)
    parts.native.onUnjoined = (stored, inflight, bytes) => this.#landings.handOver(stored, inflight, bytes)
  }

  /** Fetches under way that began because a reader waited. */
  get demanded(): number {
    return this.#demanded
  }

  /** See {@link PromotionHandoff}. */
  get bufferedFetches(): number {
    return this.#landings.bufferedFetches
  }

  /** The bytes that they were for, since the daemon started. */
  get demandedBytes(): number {
    return this.#demandedBytes
  }

  /**
   * Fetches that bring the missing blocks of an object: those under way, and new ones for the rest.
   * @param reader the process, and its trace
   */
  fetchesFor(
    stored: StoredImage,
    object: number,
    missing: bigint,
    reader: FetchReader = noReader,
  ): { fetches: InflightFetch[]; isNew: boolean } {
    if (missing === 0n) return { fetches: [], isNew: false }
    const { joined, native, rest, claims } = this.#parts.fetches.claim(stored, object, missing)
    for (const fetch of native) joined.push(this.#joinNative(stored, object, fetch, reader))
    for (const run of runsOf(rest)) joined.push(this.#begin(stored, object, run, claims, reader))
    return { fetches: joined, isNew: rest !== 0n }
  }

  /** Those of `blocks` that are neither held nor on their way. */
  lacking(stored: StoredImage, object: number, blocks: bigint): bigint {
    const missing = blocks & ~stored.held(object)
    return missing === 0n ? 0n : this.#parts.fetches.lacking(stored, object, missing)
  }

  /**
   * Claim those of `blocks` that have no claim, for {@link fetchAhead}: a session thread may have claimed some since
   * they were {@link lacking}.
   * @returns the caller's, each to be fetched
   */
  claimAhead(stored: StoredImage, object: number, blocks: bigint): bigint {
    return stored.claims.claim(object, blocks)
  }

  /** Forget what only stays in memory of `blocks`, because the store did not take it: it is to be offered again. */
  releaseBytes(stored: StoredImage, object: number, blocks: bigint): void {
    for (const inflight of this.#parts.fetches.overlapping(stored, object, blocks)) inflight.retained?.releaseBytes()
  }

  /** Bytes that readers get without their going to the store. @throws CacheError aborted, image-changed, origin-* */
  async fetch(image: Image, range: DemandRange, options: ReadOptions): Promise<PooledBuffer> {
    const lending = new LazyBuffer(this.#parts.memory, range.length)
    try {
      await this.#demand(image, range, options, () => lending.lease.bytes)
      return lending.lease
    } catch (error) {
      lending.end(true)
      throw error
    }
  }

  /**
   * Fetch a run of blocks ahead that {@link claimAhead} has claimed.
   * @param isPassing for a long stream, see {@link Promote}
   * @returns resolves when the bytes are here, or never come; never rejects
   */
  fetchAhead(
    stored: StoredImage,
    { object, run }: BlocksOfObject,
    expectation: PrefetchListener,
    isPassing: boolean,
  ): Promise<void> {
    const { memory, fetches, readahead } = this.#parts
    const { image, geometry } = stored
    const { offset, length } = geometry.bytesOf(object, run)
    const lease = memory.lend(length)
    const expected = readahead.expect({ stored, object, run, expectation })
    const inflight = new InflightFetch(object, run, {
      ahead: { isPassing, whenReleased: then => expected.whenGone(then) },
      fetch: signal => this.#read(image, offset, lease.bytes, { signal }).then(() => lease.bytes),
      free: hasFailed => (hasFailed ? lease.discard() : lease.release()),
    })
    this.#add(stored, inflight, inflight.blocks)
    stored.touch(object)
    this.#parts.onFetchAhead(stored, object)
    return inflight.arrival.then(
      bytes => {
        expected.insert(lease)
        this.#landings.handOver(stored, inflight, bytes)
        // Then the page cache has it, if it went there.
        const isHeld = () => (inflight.blocks & ~stored.held(object)) === 0n
        if (!isPassing) void inflight.settled.then(() => isHeld() && expected.releaseBytes())
      },
      error => {
        expected.remove()
        fetches.remove(stored, inflight)
        if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(image)
      },
    )
  }

  /**
   * Take a run of blocks from a pass, none of which is held or on its way.
   * @param arrival resolves when they are in the target; false: they do not come, and readers fetch them
   * @returns the target; `settled` resolves when its promotion has ended, well or not, or it does not come
   */
  land(stored: StoredImage, { object, run }: BlocksOfObject, arrival: Promise<boolean>): LandingRun {
    const { image, geometry, claims } = stored
    const extent = geometry.bytesOf(object, run)
    const lending = new LazyBuffer(this.#parts.memory, extent.length)
    const inflight = new InflightFetch(object, run, {
      isNative: true,
      free: hasFailed => lending.end(hasFailed),
      fetch: async signal => {
        if (await abortable(arrival, signal)) return lending.lease.bytes
        if (inflight.hasReaders) return await this.#bring(image, extent, lending, { signal })
        inflight.cancel() // No reader joins it in the microtasks until it is removed.
        throw new CacheError('aborted', 'the pass has ended, and no reader waits')
      },
    })
    this.#add(stored, inflight, claims.claim(object, inflight.blocks))
    stored.touch(object)
    this.#parts.onFetchAhead(stored, object)
    this.#promoteWhenHere(stored, inflight)
    return { target: lending.lease.bytes, settled: inflight.settled }
  }

  /** A demand fetch of a run of which `claims` are this one's. */
  #begin(stored: StoredImage, object: number, run: BlockRun, claims: bigint, reader: FetchReader): InflightFetch {
    const { opener, trace } = reader
    const extent = stored.geometry.bytesOf(object, run)
    const lending = new LazyBuffer(this.#parts.memory, extent.length)
    const inflight = new InflightFetch(object, run, {
      trace,
      free: hasFailed => lending.end(hasFailed),
      fetch: signal => this.#bring(stored.image, extent, lending, { signal, opener, trace }),
    })
    this.#add(stored, inflight, claims & inflight.blocks)
    return this.#promoteWhenHere(stored, inflight)
  }

  /** A fetch that a session thread began. What it does not bring, this one does. */
  #joinNative(
    stored: StoredImage,
    object: number,
    { id, first, count }: JoinedFetch,
    { opener, trace }: FetchReader,
  ): InflightFetch {
    const { native, memory } = this.#parts
    const run = { first, count }
    const extent = stored.geometry.bytesOf(object, run)
    const lending = new LazyBuffer(memory, extent.length)
    const joined = native.join(id)
    const inflight = new InflightFetch(object, run, {
      isNative: true,
      free: hasFailed => (joined.isHere ? native.free(id) : lending.end(hasFailed)),
      fetch: async signal =>
        (await joined.arrival) ?? (await this.#bring(stored.image, extent, lending, { signal, opener, trace })),
    })
    const release = () => (joined.isHere ? native.release(id) : stored.claims.release(object, inflight.blocks))
    this.#parts.fetches.add(stored, inflight, release)
    return this.#promoteWhenHere(stored, inflight)
  }

  async #bring(image: Image, extent: DemandRange, lending: LazyBuffer, options: ReadOptions): Promise<Uint8Array> {
    await this.#demand(image, extent, options, () => lending.lease.bytes)
    return lending.lease.bytes
  }

  #promoteWhenHere(stored: StoredImage, inflight: InflightFetch): InflightFetch {
    inflight.arrival.then(
      bytes => this.#landings.handOver(stored, inflight, bytes),
      () => this.#parts.fetches.remove(stored, inflight),
    )
    return inflight
  }

  #add(stored: StoredImage, inflight: InflightFetch, claims: bigint): void {
    this.#parts.fetches.add(stored, inflight, () => stored.claims.release(inflight.object, claims))
  }

  /** Fetch what a reader waits for, into the place that is asked for when its turn has come. */
  #demand(
    image: Image,
    { offset, length }: DemandRange,
    options: ReadOptions,
    target: () => Uint8Array,
  ): Promise<void> {
    this.#demandedBytes += length
    const queued = options.trace?.begin('queue', { 'parentfs.queue': 'budget', 'parentfs.bytes': length })
    const work = async () => {
      queued?.end()
      this.#demanded++
      try {
        await this.#read(image, offset, target(), options)
      } finally {
        this.#demanded--
      }
    }
    const budget = this.#parts.fetchBudgets.of(image.origin)
    return endingWith(queued, budget.run(length, options.signal, work, options.opener))
  }

  #read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const { origins } = this.#parts
    const { origin } = origins.of(image)
    // Its time is that of the pass, and says nothing about the path.
    if (origins.isSequential(image)) return origin.read(image, offset, target, options)
    return origins.pathOf(image).measure(target.length, () => origin.read(image, offset, target, options))
  }
}
