/**
 * Extents on their way from an origin to readers and into the store: each is fetched once, however many want it.
 *
 * What a reader waits for takes off at once. What is fetched ahead comes as one request and becomes a flight for each part of it that
 * is looked after by itself; readers join those like any other.
 */
import { isCacheError } from '../errors.ts'
import { type BlockRun, type Image, runsOf } from '../image.ts'
import type { Origin, ReadOptions } from '../origin/origin.ts'
import type { StoredImage } from '../store/stored-image.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { type ByteRange, earlyRange, type Given, restOf } from './early.ts'
import type { FetchBudgets } from './fetch-budgets.ts'
import { Flight, type FlightPlan } from './flight.ts'
import { Landings, type LandingsParts } from './landings.ts'
import type { Link } from './link.ts'
import { type Lease, Lending, type Memory } from './memory.ts'
import { Rests } from './rests.ts'

export interface FetcherParts extends LandingsParts {
  /** Bytes on their way because a reader waits for them. */
  readonly fetchBudgets: FetchBudgets
  readonly memory: Memory
  /** The origin that has this image. @throws CacheError not-found when it is no longer configured */
  originOf(image: Image): Origin
  linkOf(image: Image): Link
  /** Is its origin so near that a small read is answered much sooner than that of a block? */
  isNear(image: Image): boolean
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** The origin no longer has this version. */
  imageChanged(image: Image): void
}

/** A part of what is fetched ahead. */
export interface AheadPart {
  readonly run: BlockRun
  /** Does it wait in memory for its first reader, instead of going to the store? */
  readonly waits: boolean
  /** Its first reader is there. */
  onRead(): void
  /** It was not read: it goes to the store without that, or never came. */
  onUnread(): void
}

type Asked = ByteRange | Given | null

/** Bytes, and the lease that they belong to. */
interface LentBytes {
  readonly bytes: Uint8Array
  readonly lease: Lease
}

export class Fetcher {
  readonly #parts: FetcherParts
  readonly #rests: Rests
  readonly #landings: Landings
  #demanded = 0
  #demandedBytes = 0

  constructor(parts: FetcherParts) {
    this.#parts = parts
    this.#landings = new Landings(parts)
    this.#rests = new Rests({ demanded: () => this.#demanded, now: parts.now })
  }

  /** Fetches under way that began because a reader waited. */
  get demanded(): number {
    return this.#demanded
  }

  /** The bytes that they were for, since the daemon started. */
  get demandedBytes(): number {
    return this.#demandedBytes
  }

  /**
   * Flights that bring the missing blocks of an object: those in the air, and new ones for the rest.
   * @param asked what somebody waits for, or has got already; null for all of it
   * @param opener who asks
   */
  flightsFor(
    stored: StoredImage,
    object: number,
    missing: bigint,
    asked: Asked = null,
    opener?: number,
  ): { flights: Flight[]; isNew: boolean } {
    if (missing === 0n) return { flights: [], isNew: false }
    const flights = this.#parts.flights.touching(stored.lockKey(object), missing)
    const rest = flights.reduce((mask, flight) => mask & ~flight.blocks, missing)
    return {
      flights: flights.concat(runsOf(rest).map(run => this.#takeOff(stored, object, run, asked, opener))),
      isNew: rest !== 0n,
    }
  }

  /** Those of `blocks` that are neither held nor on their way. */
  lacking(stored: StoredImage, object: number, blocks: bigint): bigint {
    const missing = blocks & ~stored.held(object)
    if (missing === 0n) return 0n
    const flights = this.#parts.flights.touching(stored.lockKey(object), missing)
    return flights.reduce((mask, flight) => mask & ~flight.blocks, missing)
  }

  /** Forget what only stays in memory of `blocks`, because the store did not take it: it is to be offered again. */
  letGo(stored: StoredImage, object: number, blocks: bigint): void {
    for (const flight of this.#parts.flights.touching(stored.lockKey(object), blocks)) flight.lingering?.letGo()
  }

  /** Bytes that readers get without their going to the store. @throws CacheError aborted, image-changed, origin-* */
  async fetch(image: Image, range: ByteRange, options: ReadOptions): Promise<Lease> {
    const lending = new Lending(this.#parts.memory, range.length)
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
   * @param parts the run, cut up
   * @returns resolves when the bytes are here, or never come; never rejects
   */
  fetchAhead(stored: StoredImage, object: number, run: BlockRun, parts: readonly AheadPart[]): Promise<void> {
    const { image, geometry } = stored
    const { offset, length } = geometry.bytesOf(object, run)
    const controller = new AbortController()
    const lease = this.#parts.memory.lend(length)
    const whole = this.#read(image, offset, lease.bytes, controller).then(
      () => {
        for (let k = 1; k < parts.length; k++) lease.hold()
        return lease
      },
      error => {
        lease.abandon()
        throw error
      },
    )
    let wanted = parts.length
    const giveUpOne = () => {
      if (--wanted === 0) controller.abort()
    }
    for (const part of parts) {
      const { offset: from, length: bytes } = geometry.bytesOf(object, part.run)
      const own = whole.then(() => this.#partOf(lease, from - offset, bytes, part.waits))
      this.#takeOffAhead(stored, object, part, own, giveUpOne)
    }
    stored.touch(object)
    return whole.then(
      () => {},
      error => {
        if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(image)
      },
    )
  }

  #takeOffAhead(
    stored: StoredImage,
    object: number,
    part: AheadPart,
    own: Promise<LentBytes>,
    giveUp: () => void,
  ): void {
    const { flights, park } = this.#parts
    const parked = {
      bytes: stored.geometry.bytesOf(object, part.run).length,
      leave: (wasRead: boolean) => {
        if (!wasRead) part.onUnread()
        void own.then(({ bytes }) => this.#landings.land(stored, flight, bytes)) // They have arrived, or it would not be parked.
      },
    }
    const onReader = () => {
      part.onRead()
      park.read(parked)
    }
    const fetch = (signal: AbortSignal) => {
      signal.addEventListener('abort', giveUp, { once: true })
      return unlessAborted(
        own.then(({ bytes }) => bytes),
        signal,
      )
    }
    const free = () => void own.then(({ lease }) => lease.release()).catch(() => {}) // It never came.
    const flight = new Flight(object, part.run, { fetch, onReader, free })
    flights.add(stored.lockKey(object), flight)
    flight.arrival.then(
      bytes => {
        if (part.waits && !flight.wasRead) park.add(parked)
        else this.#landings.land(stored, flight, bytes)
      },
      () => {
        if (!flight.wasRead) part.onUnread()
        flights.remove(stored.lockKey(object), flight)
      },
    )
  }

  #takeOff(stored: StoredImage, object: number, run: BlockRun, asked: Asked, opener?: number): Flight {
    const { flights } = this.#parts
    const plan = this.#planOf(stored.image, stored.geometry.bytesOf(object, run), asked, opener)
    const flight = new Flight(object, run, plan)
    flights.add(stored.lockKey(object), flight)
    flight.arrival.then(
      bytes => this.#landings.land(stored, flight, bytes),
      () => flights.remove(stored.lockKey(object), flight),
    )
    return flight
  }

  /**
   * A part of what came. What may wait long for its reader gets memory of its own when that is scarce: else it would keep that of all.
   */
  #partOf(lease: Lease, offset: number, length: number, waits: boolean): LentBytes {
    const bytes = lease.bytes.subarray(offset, offset + length)
    const { memory } = this.#parts
    if (!waits || !memory.isScarce) return { bytes, lease }
    const copy = memory.lend(length)
    copy.bytes.set(bytes)
    lease.release()
    return { bytes: copy.bytes, lease: copy }
  }

  #planOf(image: Image, extent: ByteRange, asked: Asked, opener?: number): FlightPlan {
    const lending = new Lending(this.#parts.memory, extent.length)
    const free = (hasFailed: boolean) => lending.end(hasFailed)
    const placeOf = ({ offset, length }: ByteRange) =>
      lending.lease.bytes.subarray(offset - extent.offset, offset - extent.offset + length)
    const demand = async (range: ByteRange, signal: AbortSignal) => {
      await this.#demand(image, range, { signal, opener }, () => placeOf(range))
      return placeOf(range)
    }
    const given = asked && 'bytes' in asked ? asked : null
    const range = given ?? (asked && this.#parts.isNear(image) ? earlyRange(extent, asked) : null)
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
        const rest = restOf(extent, range)
        const read = (part: ByteRange) => this.#read(image, part.offset, placeOf(part), { signal })
        await this.#rests.run(extent.length, hurry, signal, () => Promise.all(rest.map(read)))
        return placeOf(extent)
      },
    }
  }

  /** Fetch what a reader waits for, into the place that is asked for when its turn has come. */
  #demand(image: Image, { offset, length }: ByteRange, options: ReadOptions, target: () => Uint8Array): Promise<void> {
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
    const { originOf, linkOf } = this.#parts
    return linkOf(image).measure(target.length, () => originOf(image).read(image, offset, target, options))
  }
}
