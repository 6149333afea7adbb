/**
 * Miss path: the reads that session threads did not answer. Look up what is held, join or start the fetches of the
 * gaps, wait for them, assemble the answer; the fetches hand their bytes over to promotion by themselves.
 *
 * Resident runs are read **after** the gaps have arrived, under the reader's protocol. If they went meanwhile, the read
 * is tried again, and after a few tries served by the origin alone.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image, ObjectPart } from '../../base/image.ts'
import { endingWith, type MissTraces, type TraceSpan } from '../../base/trace.ts'
import type { ReadOptions } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { BufferPool } from '../fetch/buffer-pool.ts'
import type { DemandRange, Fetcher } from '../fetch/fetcher.ts'
import type { InflightFetch } from '../fetch/inflight-fetch.ts'
import type { MissTimeout, MissTimeoutReader } from '../fetch/miss-timeout.ts'
import type { SeenByteRead } from '../prefetch/prefetcher.ts'
import { acquireAll, arrivals, assemble, coalesce, type LendingReader, lendOrCopy } from './read-assembly.ts'
import { ReadCounters } from './read-counters.ts'

/** Dependencies of a miss reader. */
export interface MissReaderContext {
  readonly fetcher: Fetcher
  readonly memory: BufferPool
  readonly uses: ObjectUses
  readonly traces: MissTraces
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
  /** The image, if it is in the store. */
  find(image: Image): StoredImage | null
  /** The origin no longer has this version. */
  imageChanged(image: Image): void
  /** An object is read for another host. */
  readForOthers(stored: StoredImage, object: number): void
}

/** Hears of objects that readers use, before they are looked for, and of those that operators want here. */
export interface ObjectUses {
  /** @param blocks those that are wanted; 0: a session thread has sampled them */
  used(stored: StoredImage, object: number, blocks: bigint): void
  wanted(stored: StoredImage, object: number): void
}

export interface CacheReadOptions extends ReadOptions, LendingReader {
  /** For another host, whose reads are predicted there: none is here, and nothing is counted as a read. */
  readonly isForOthers?: boolean | undefined
  /** The time that it has waited for the origin already. */
  readonly waitedMs?: number | undefined
}

/** A read and its trace, which begins when the read needs more than the store has. */
interface ReadUnderWay extends CacheReadOptions {
  readonly startedMs: number
  trace: TraceSpan | undefined
}

/** Tries of a read before it goes to the origin whole: evictions that race with it four times are a storm. */
const triesMax = 4

export class MissReader {
  readonly #parts: MissReaderContext
  readonly counters = new ReadCounters()
  #waiting = 0

  constructor(parts: MissReaderContext) {
    this.#parts = parts
  }

  /** Reads that wait for the origin now. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * Exactly the bytes [offset, offset + length), which lie within the image.
   * @throws CacheError aborted, image-changed, origin-*, closed
   */
  async read(image: Image, offset: number, length: number, options: CacheReadOptions): Promise<Uint8Array> {
    if (length === 0) return new Uint8Array(0)
    const startedMs = performance.now()
    const range = { offset, length }
    const { opener, lend, isForOthers, waitedMs } = options // A request has them as getters, which a spread would leave out.
    const work = (signal: CancelSignal) =>
      this.#read(image, range, { signal, opener, lend, isForOthers, startedMs, trace: undefined })
    const { bytes, missed } = await this.#withinPatience(image, options.signal, work, { isForOthers, waitedMs })
    if (!isForOthers) this.counters.add(image, length, missed, performance.now() - startedMs)
    return bytes
  }

  /** Tries, and after some the origin alone. The trace of the read, if it has one, ends with it. */
  async #read(image: Image, range: DemandRange, own: ReadUnderWay) {
    try {
      let missed = false
      for (let tries = 0; tries < triesMax; tries++) {
        const stored = await this.#parts.stored(image)
        if (!stored) break
        const tried = await this.#try(stored, range, own)
        missed ||= tried.missed
        if (!tried.bytes) continue
        own.trace?.add({ 'parentfs.stalled': missed })
        own.trace?.end()
        return { bytes: tried.bytes, missed }
      }
      if (this.#draws(own)) this.#trace(image, range, own)
      const lease = await this.#whileWaiting(true, () => this.#parts.fetcher.fetch(image, range, own))
      own.trace?.end()
      return { bytes: lendOrCopy(lease.bytes, () => lease.release(), own), missed: true }
    } catch (error) {
      own.trace?.end(error)
      throw error
    }
  }

  /** Is its trace to begin now? Reads for other hosts are traced there. */
  #draws({ trace, isForOthers }: ReadUnderWay): boolean {
    return trace === undefined && !isForOthers && this.#parts.traces.isSampled()
  }

  #trace(image: Image, { offset, length }: DemandRange, own: ReadUnderWay): void {
    const place = { 'parentfs.origin': image.origin, 'parentfs.image': image.key }
    const read = { 'parentfs.offset': offset, 'parentfs.bytes': length, 'parentfs.native': false }
    const reader = own.opener === undefined ? {} : { 'parentfs.reader.pid': own.opener }
    own.trace = this.#parts.traces.begin({ ...place, ...read, ...reader }, own.startedMs)
    own.trace.begin('plan', {}, own.startedMs).end()
  }

  /** One try; null bytes when something was evicted under it, or could not be read. */
  async #try(stored: StoredImage, range: DemandRange, options: ReadUnderWay) {
    const { offset, length } = range
    const { fetcher, memory, onRead, isReadable } = this.#parts
    // 1. Look up: what is held and not published yet is verified first.
    const parts = stored.geometry.parts(offset, length)
    // At the time of the read, not of the promotion: those end in another order.
    for (const { object, blocks } of parts) {
      if (options.isForOthers) {
        this.#parts.readForOthers(stored, object)
        continue
      }
      this.#parts.uses.used(stored, object, blocks)
      stored.touch(object)
    }
    await Promise.all(parts.map(part => verifyHeld(stored, part)))
    throwIfAborted(options.signal)
    // A disk that did not answer in time is not asked again.
    if (!isReadable(stored)) return { missed: true, bytes: null }
    if (this.#draws(options) && lacks(stored, parts)) this.#trace(stored.image, range, options)
    // 2. Join or start, in one turn: no reader can begin the same fetch in between.
    const found = parts.map(({ object, blocks }) =>
      fetcher.fetchesFor(stored, object, blocks & ~stored.residency.resident(object), options),
    )
    const fetches = found.flatMap(part => part.fetches)
    const missed = fetches.some(inflight => !inflight.isPrefetched)
    // Before the read is reported: the read-ahead buffer releases its bytes of these fetches then, and without a reader
    // they end.
    const leave = acquireAll(fetches)
    let isLent = false
    try {
      if (!options.isForOthers)
        onRead(stored, { offset, length, stalled: missed, missed: found.some(part => part.isNew) })
      // 3. Wait.
      const waited = options.trace?.begin('wait', waitFacts(found, fetches))
      const arriving = this.#whileWaiting(missed, () => arrivals(stored, fetches, options.signal))
      const arrived = await endingWith(waited, arriving)
      if (!arrived) return { missed, bytes: null }
      // 4. Assemble, without a copy where one buffer has it all.
      const only = coalesce(arrived)
      if (only && offset >= only.offset && offset + length <= only.offset + only.length) {
        isLent = true
        const own = only.bytes.subarray(offset - only.offset, offset - only.offset + length)
        return { missed, bytes: lendOrCopy(own, leave, options) }
      }
      const lease = memory.lend(length)
      const isWhole = await assemble(stored, lease.bytes, offset, arrived).catch(() => false)
      if (isWhole) return { missed, bytes: lendOrCopy(lease.bytes, () => lease.release(), options) }
      lease.discard() // A disk that was not waited for may still write to it.
      return { missed, bytes: null }
    } finally {
      if (!isLent) leave()
    }
  }

  /**
   * Bring those of `blocks` that are not held into the store, sharing every fetch with its other readers; counts as a
   * use of the object. Resolves when their promotions have ended, well or not: promoted blocks are held then.
   * @throws CacheError aborted, image-changed, origin-*, closed
   */
  async fill(stored: StoredImage, object: number, blocks: bigint, signal: CancelSignal): Promise<void> {
    stored.touch(object)
    this.#parts.uses.wanted(stored, object)
    let fetches: readonly InflightFetch[] = []
    await this.#withinPatience(stored.image, signal, async own => {
      for (let isHere = false; !isHere; ) {
        const missing = blocks & ~stored.held(object)
        this.#parts.fetcher.releaseBytes(stored, object, missing)
        fetches = this.#parts.fetcher.fetchesFor(stored, object, missing).fetches
        const leave = acquireAll(fetches)
        isHere = (await arrivals(stored, fetches, own).finally(leave)) !== null
      }
    })
    await Promise.all(fetches.map(inflight => inflight.settled))
  }

  /** A session thread fetches what a read wants. */
  originReadBegun(image: Image, offset: number, length: number): void {
    this.#readNatively(image, { offset, length, stalled: true, missed: true, isNative: true })
  }

  /** A session thread has answered a read with bytes of the origin, `ms` milliseconds after it came. */
  originReadDone(image: Image, length: number, ms: number): void {
    this.counters.add(image, length, true, ms)
  }

  /** Prefetched bytes are being read, by a reader that needs nothing of this one. */
  bufferTouched(image: Image, offset: number, length: number): void {
    this.#readNatively(image, { offset, length, stalled: false, missed: false })
  }

  #readNatively(image: Image, read: SeenByteRead): void {
    const stored = this.#parts.find(image)
    if (!stored) return
    // The session thread has sampled it.
    for (const { object } of stored.geometry.parts(read.offset, read.length)) this.#parts.uses.used(stored, object, 0n)
    this.#parts.onRead(stored, read)
  }

  /** Do `work` within the miss time-out of the image, and pass on that it has changed. */
  async #withinPatience<T>(
    image: Image,
    signal: CancelSignal,
    work: (own: CancelSignal) => Promise<T>,
    reader: MissTimeoutReader = {},
  ): Promise<T> {
    const timeout = this.#parts.missTimeoutFor(image)
    try {
      return timeout ? await timeout.run(signal, work, reader) : await work(signal)
    } catch (error) {
      if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(image)
      throw error
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
}

/** Verify what is held and not published; what is wrong is dropped, and missing from then on. */
async function verifyHeld(stored: StoredImage, part: ObjectPart): Promise<void> {
  const unverified = part.blocks & stored.held(part.object) & ~stored.residency.resident(part.object)
  if (unverified === 0n) return
  await stored.verify(part.object, unverified)
}

/** Does a read need more than is published? */
function lacks(stored: StoredImage, parts: readonly ObjectPart[]): boolean {
  return parts.some(({ object, blocks }) => (blocks & ~stored.residency.resident(object)) !== 0n)
}

/** Fetches that a read waits for; joined: others had begun them all. */
function waitFacts(found: readonly { readonly isNew: boolean }[], fetches: readonly InflightFetch[]) {
  return { 'parentfs.fetches': fetches.length, 'parentfs.joined': !found.some(part => part.isNew) }
}
