/**
 * Fetcher: brings extents from an origin to readers and into the store. Each is fetched once, however many want it.
 *
 * A demand fetch starts at once. A prefetch is an in-flight fetch like any other, which readers join; once its bytes
 * have arrived, they are in the read-ahead buffer as well.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import { type BlockRun, type Image, runsOf } from '../../base/image.ts'
import type { ReadOptions } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { type BufferPool, LazyBuffer, type PooledBuffer } from './buffer-pool.ts'
import { DeferredFills } from './deferred-fill.ts'
import { type DemandRange, demandRange, type ReceivedPart, remainderOf } from './demand-range.ts'
import type { FetchBudgets } from './fetch-budgets.ts'
import { type FetchPlan, InflightFetch } from './inflight-fetch.ts'
import type { OriginTable } from './origin-table.ts'
import { PromotionHandoff, type PromotionHandoffContext } from './promotion-handoff.ts'
import type { PrefetchListener, ReadaheadBuffer } from './readahead-buffer.ts'

export interface FetcherContext extends PromotionHandoffContext {
  /** Bytes on their way because a reader waits for them. */
  readonly fetchBudgets: FetchBudgets
  readonly memory: BufferPool
  readonly readahead: ReadaheadBuffer
  readonly origins: Pick<OriginTable, 'of' | 'pathOf'>
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** The origin no longer has this version. */
  imageChanged(image: Image): void
}

/** A run of blocks of an object. */
export interface BlocksOfObject {
  readonly object: number
  readonly run: BlockRun
}

type Asked = DemandRange | ReceivedPart | null

export class Fetcher {
  readonly #parts: FetcherContext
  readonly #rests: DeferredFills
  readonly #landings: PromotionHandoff
  #demanded = 0
  #demandedBytes = 0

  constructor(parts: FetcherContext) {
    this.#parts = parts
    this.#landings = new PromotionHandoff(parts)
    this.#rests = new DeferredFills({ demanded: () => this.#demanded, now: parts.now })
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
   * Fetches that bring the missing blocks of an object: those in flight, and new ones for the rest.
   * @param asked the range that a reader waits for, or has got already; null for all of it
   * @param opener the reader
   */
  fetchesFor(
    stored: StoredImage,
    object: number,
    missing: bigint,
    asked: Asked = null,
    opener?: number,
  ): { fetches: InflightFetch[]; isNew: boolean } {
    if (missing === 0n) return { fetches: [], isNew: false }
    const fetches = this.#parts.fetches.overlapping(stored.lockKey(object), missing)
    const rest = fetches.reduce((mask, inflight) => mask & ~inflight.blocks, missing)
    return {
      fetches: fetches.concat(runsOf(rest).map(run => this.#takeOff(stored, object, run, asked, opener))),
      isNew: rest !== 0n,
    }
  }

  /** Those of `blocks` that are neither held nor on their way. */
  lacking(stored: StoredImage, object: number, blocks: bigint): bigint {
    const missing = blocks & ~stored.held(object)
    if (missing === 0n) return 0n
    const fetches = this.#parts.fetches.overlapping(stored.lockKey(object), missing)
    return fetches.reduce((mask, inflight) => mask & ~inflight.blocks, missing)
  }

  /** Forget what only stays in memory of `blocks`, because the store did not take it: it is to be offered again. */
  releaseBytes(stored: StoredImage, object: number, blocks: bigint): void {
    for (const inflight of this.#parts.fetches.overlapping(stored.lockKey(object), blocks))
      inflight.retained?.releaseBytes()
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
   * Fetch a run of blocks ahead, none of which is held or on its way.
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
    fetches.add(stored.lockKey(object), inflight)
    stored.touch(object)
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
        fetches.remove(stored.lockKey(object), inflight)
        if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(image)
      },
    )
  }

  #takeOff(stored: StoredImage, object: number, run: BlockRun, asked: Asked, opener?: number): InflightFetch {
    const { fetches } = this.#parts
    const plan = this.#planOf(stored.image, stored.geometry.bytesOf(object, run), asked, opener)
    const inflight = new InflightFetch(object, run, plan)
    fetches.add(stored.lockKey(object), inflight)
    inflight.arrival.then(
      bytes => this.#landings.handOver(stored, inflight, bytes),
      () => fetches.remove(stored.lockKey(object), inflight),
    )
    return inflight
  }

  #planOf(image: Image, extent: DemandRange, asked: Asked, opener?: number): FetchPlan {
    const lending = new LazyBuffer(this.#parts.memory, extent.length)
    const free = (hasFailed: boolean) => lending.end(hasFailed)
    const placeOf = ({ offset, length }: DemandRange) =>
      lending.lease.bytes.subarray(offset - extent.offset, offset - extent.offset + length)
    const demand = async (range: DemandRange, signal: CancelSignal) => {
      await this.#demand(image, range, { signal, opener }, () => placeOf(range))
      return placeOf(range)
    }
    const given = asked && 'bytes' in asked ? asked : null
    const range = given ?? (asked && this.#parts.origins.of(image).isNear ? demandRange(extent, asked) : null)
    if (!range) return { free, fetch: signal => demand(extent, signal) }
    let first: Promise<Uint8Array>
    return {
      free,
      early: signal => {
        if (given) placeOf(given).set(given.bytes)
        first = given ? Promise.resolve(placeOf(given)) : demand(range, signal)
        return { offset: range.offset, length: range.length, arrival: first }
      },
      fetch: async (signal, hurry) => {
        await first
        const rest = remainderOf(extent, range)
        const read = (part: DemandRange) => this.#read(image, part.offset, placeOf(part), { signal })
        await this.#rests.run(extent.length, hurry, signal, () => Promise.all(rest.map(read)))
        return placeOf(extent)
      },
    }
  }

  /** Fetch what a reader waits for, into the place that is asked for when its turn has come. */
  #demand(
    image: Image,
    { offset, length }: DemandRange,
    options: ReadOptions,
    target: () => Uint8Array,
  ): Promise<void> {
    this.#demandedBytes += length
    const work = async () => {
      this.#demanded++
      try {
        await this.#read(image, offset, target(), options)
      } finally {
        this.#demanded--
        this.#rests.demand()
      }
    }
    return this.#parts.fetchBudgets.of(image.origin).run(length, options.signal, work, options.opener)
  }

  #read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const { origins } = this.#parts
    const { origin } = origins.of(image)
    return origins.pathOf(image).measure(target.length, () => origin.read(image, offset, target, options))
  }
}
