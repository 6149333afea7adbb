/**
 * Reads that the native hit path did not answer: plan, verify, fetch the gaps, assemble.
 *
 * An extent is fetched once however many readers want it, the answer goes out as soon as the bytes are here, and the
 * same bytes are offered for promotion afterwards. Resident runs are read **after** the gaps have arrived, under the
 * reader's protocol; if they went meanwhile, the read is planned again, and after a few times served by the origin
 * alone.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image, ObjectPart } from '../../base/image.ts'
import { type LatencyCounts, LatencyHistogram } from '../../base/latency-histogram.ts'
import type { ReadOptions } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { BufferPool } from '../fetch/buffer-pool.ts'
import type { Fetcher } from '../fetch/fetcher.ts'
import type { InflightFetch } from '../fetch/inflight-fetch.ts'
import type { MissTimeout } from '../fetch/miss-timeout.ts'
import type { SeenByteRead } from '../prefetch/prefetcher.ts'
import { acquireAll, arrivals, assemble, coalesce, type LendingReader, lendOrCopy } from './read-assembly.ts'

/** Dependencies of a miss reader. */
export interface MissReaderContext {
  readonly fetcher: Fetcher
  readonly memory: BufferPool
  /** Hears of every read that comes here, once what it needs is on its way. */
  readonly onRead: (stored: StoredImage, read: SeenByteRead) => void
  /** The time-out of a reader of this image; null: as long as its signal lets it. */
  missTimeoutFor(image: Image): MissTimeout | null
  /**
   * The image in the store; null where the store cannot take it, and while its disk must not be waited for. Never
   * rejects.
   */
  stored(image: Image): Promise<StoredImage | null>
  /** Is it still there, and may its disk be waited for? */
  isReadable(stored: StoredImage): boolean
  /** A session thread has read from the origin. */
  countNativeRead(image: Image, bytes: number, ms: number): void
  /** Would the store take more of it now? */
  mayPromote(stored: StoredImage): boolean
  /** The image, if it is in the store. */
  find(image: Image): StoredImage | null
  /** The origin no longer has this version. */
  imageChanged(image: Image): void
}

export interface CacheReadOptions extends ReadOptions, LendingReader {}

/** Reads of one image since the daemon started. */
export interface ImageReads {
  readonly hits: number
  readonly hitBytes: number
  readonly misses: number
  readonly missBytes: number
  /** The time of all misses together. */
  readonly missMs: number
}

const noReads: ImageReads = { hits: 0, hitBytes: 0, misses: 0, missBytes: 0, missMs: 0 }

export interface ReadCounters {
  readonly hits: number
  readonly misses: number
  readonly hitBytes: number
  readonly missBytes: number
}

/** Latencies of reads that came here: answered by the store, and by the origin. */
export interface ReadLatencies {
  readonly store: LatencyCounts
  readonly origin: LatencyCounts
}

/** Plans of a read before it goes to the origin whole: evictions that race with it four times are a storm. */
const plansMax = 4

export class MissReader {
  readonly #parts: MissReaderContext
  #hits = 0
  #misses = 0
  #hitBytes = 0
  #missBytes = 0
  #waiting = 0
  readonly #hitLatencies = new LatencyHistogram()
  readonly #missLatencies = new LatencyHistogram()
  /** By version: it goes when the version is not known any more. */
  readonly #byImage = new WeakMap<Image, ImageReads>()

  constructor(parts: MissReaderContext) {
    this.#parts = parts
  }

  /** Reads answered here; the native hits are counted by the session. */
  get counters(): ReadCounters {
    return { hits: this.#hits, misses: this.#misses, hitBytes: this.#hitBytes, missBytes: this.#missBytes }
  }

  get latencies(): ReadLatencies {
    return { store: this.#hitLatencies.snapshot(), origin: this.#missLatencies.snapshot() }
  }

  /** Those that came here, and with its data file those that were answered natively, too. */
  readsOf(image: Image, stored: Pick<StoredImage, 'file'> | null = null): ImageReads {
    const reads = this.#byImage.get(image) ?? noReads
    if (!stored) return reads
    const { hits, hitBytes } = stored.file.hits()
    return { ...reads, hits: reads.hits + hits, hitBytes: reads.hitBytes + hitBytes }
  }

  /** Reads that wait for the origin now. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * Bring those of `blocks` that are not held into the store, sharing every fetch with its other readers; counts as a
   * use of the object. Resolves when their promotions have ended, well or not: promoted blocks are held then.
   * @throws CacheError aborted, image-changed, origin-*, closed
   */
  async fill(stored: StoredImage, object: number, blocks: bigint, signal: CancelSignal): Promise<void> {
    stored.touch(object)
    const patience = this.#parts.missTimeoutFor(stored.image)
    const work = async (own: CancelSignal) => {
      for (;;) {
        const missing = blocks & ~stored.held(object)
        this.#parts.fetcher.releaseBytes(stored, object, missing)
        const { fetches } = this.#parts.fetcher.fetchesFor(stored, object, missing)
        const leave = acquireAll(fetches)
        const arrived = await arrivals(stored, fetches, null, own).finally(leave)
        if (arrived) return fetches
      }
    }
    let fetches: readonly InflightFetch[] = []
    try {
      fetches = await (patience ? patience.run(signal, work) : work(signal))
    } catch (error) {
      if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(stored.image)
      throw error
    }
    await Promise.all(fetches.map(inflight => inflight.settled))
  }

  /**
   * Exactly the bytes [offset, offset + length), which lie within the image.
   * @throws CacheError aborted, image-changed, origin-*, closed
   */
  async read(image: Image, offset: number, length: number, options: CacheReadOptions): Promise<Uint8Array> {
    const { signal, opener, lend } = options
    if (length === 0) return new Uint8Array(0)
    const startedMs = performance.now()
    const patience = this.#parts.missTimeoutFor(image)
    const work = (own: CancelSignal) =>
      this.#readOnce(image, { offset, length, startedMs }, { signal: own, opener, lend })
    try {
      return patience ? await patience.run(signal, work) : await work(signal)
    } catch (error) {
      if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(image)
      throw error
    }
  }

  /**
   * A session thread has answered a read with bytes of the origin, which lie within one block: the rest of it is
   * fetched, too, where the store would take it.
   * @param ms how long that took
   */
  originReadDone(image: Image, offset: number, bytes: Uint8Array, ms: number): void {
    const stored = this.#parts.find(image)
    const { length } = bytes
    this.#parts.countNativeRead(image, length, ms)
    this.#count(image, true, performance.now() - ms, bytes)
    if (!stored) return
    for (const { object, blocks } of this.#parts.mayPromote(stored) ? stored.geometry.parts(offset, length) : []) {
      this.#parts.fetcher.fetchesFor(stored, object, blocks & ~stored.held(object), { offset, length, bytes })
    }
    this.#parts.onRead(stored, { offset, length, stalled: true, missed: true })
  }

  /** Prefetched bytes are being read, by a reader that needs nothing of this one. */
  bufferTouched(image: Image, offset: number, length: number): void {
    const stored = this.#parts.find(image)
    if (stored) this.#parts.onRead(stored, { offset, length, stalled: false, missed: false })
  }

  async #readOnce(
    image: Image,
    { offset, length, startedMs }: { readonly offset: number; readonly length: number; readonly startedMs: number },
    options: CacheReadOptions,
  ): Promise<Uint8Array> {
    let missed = false
    for (let plans = 0; plans < plansMax; plans++) {
      const stored = await this.#parts.stored(image)
      if (!stored) break
      const planned = await this.#readPlanned(stored, offset, length, options)
      missed ||= planned.missed
      if (planned.bytes) return this.#count(image, missed, startedMs, planned.bytes)
    }
    const fetch = () => this.#parts.fetcher.fetch(image, { offset, length }, options)
    const lease = await this.#whileWaiting(true, fetch)
    return this.#count(
      image,
      true,
      startedMs,
      lendOrCopy(lease.bytes, () => lease.release(), options),
    )
  }

  /** One plan; null bytes when something was evicted under it, or could not be read. */
  async #readPlanned(stored: StoredImage, offset: number, length: number, options: CacheReadOptions) {
    const { signal, opener } = options
    const parts = stored.geometry.parts(offset, length)
    // At the time of the read, not of the promotion: those end in another order.
    for (const { object } of parts) stored.touch(object)
    await Promise.all(parts.map(part => verifyHeld(stored, part)))
    throwIfAborted(signal)
    // A disk that did not answer in time is not asked again.
    if (!this.#parts.isReadable(stored)) return { missed: true, bytes: null }
    const asked = { offset, length }
    // Synchronous: no reader can begin the same fetch between the look and the take-off.
    const found = parts.map(({ object, blocks }) =>
      this.#parts.fetcher.fetchesFor(stored, object, blocks & ~stored.residency.resident(object), asked, opener),
    )
    const fetches = found.flatMap(part => part.fetches)
    const missed = fetches.some(inflight => !inflight.isPrefetched)
    // Before the read is reported: the read-ahead buffer releases its bytes of these fetches then, and without a reader
    // they end.
    const leave = acquireAll(fetches)
    let keepsSeats = false
    try {
      this.#parts.onRead(stored, { offset, length, stalled: missed, missed: found.some(part => part.isNew) })
      const arrived = await this.#whileWaiting(missed, () => arrivals(stored, fetches, asked, signal))
      if (!arrived) return { missed, bytes: null }
      const only = coalesce(arrived)
      if (only && offset >= only.offset && offset + length <= only.offset + only.length) {
        keepsSeats = true
        const own = only.bytes.subarray(offset - only.offset, offset - only.offset + length)
        return { missed, bytes: lendOrCopy(own, leave, options) }
      }
      const lease = this.#parts.memory.lend(length)
      const isWhole = await assemble(stored, lease.bytes, offset, arrived).catch(() => false)
      if (isWhole) return { missed, bytes: lendOrCopy(lease.bytes, () => lease.release(), options) }
      lease.discard() // A disk that was not waited for may still write to it.
      return { missed, bytes: null }
    } finally {
      if (!keepsSeats) leave()
    }
  }

  async #whileWaiting<T>(waits: boolean, work: () => Promise<T>): Promise<T> {
    if (!waits) return work()
    this.#waiting++
    try {
      return await work()
    } finally {
      this.#waiting--
    }
  }

  #count(image: Image, missed: boolean, startedMs: number, bytes: Uint8Array): Uint8Array {
    const tookMs = performance.now() - startedMs
    const of = this.readsOf(image)
    if (missed) {
      this.#missLatencies.add(tookMs)
      this.#misses++
      this.#missBytes += bytes.length
      const [misses, missBytes, missMs] = [of.misses + 1, of.missBytes + bytes.length, of.missMs + tookMs]
      this.#byImage.set(image, { ...of, misses, missBytes, missMs })
    } else {
      this.#hitLatencies.add(tookMs)
      this.#hits++
      this.#hitBytes += bytes.length
      this.#byImage.set(image, { ...of, hits: of.hits + 1, hitBytes: of.hitBytes + bytes.length })
    }
    return bytes
  }
}

/** Verify what is held and not published; what is wrong is dropped, and missing from then on. */
async function verifyHeld(stored: StoredImage, part: ObjectPart): Promise<void> {
  const unverified = part.blocks & stored.held(part.object) & ~stored.residency.resident(part.object)
  if (unverified === 0n) return
  await stored.verify(part.object, unverified)
}
