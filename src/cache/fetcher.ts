/**
 * Extents on their way from an origin to readers and into the store: each is fetched once, however many want it.
 *
 * What a reader waits for takes off at once. What is fetched ahead is a flight like any other, which readers join; once its bytes are
 * here, they are on the shelf as well.
 */
import { isCacheError } from '../errors.ts'
import { type BlockRun, type Image, runsOf } from '../image.ts'
import type { Origin, ReadOptions } from '../origin/origin.ts'
import type { StoredImage } from '../store/stored-image.ts'
import { type ByteRange, earlyRange, type Given, restOf } from './early.ts'
import type { FetchBudgets } from './fetch-budgets.ts'
import { Flight, type FlightPlan } from './flight.ts'
import { Landings, type LandingsParts } from './landings.ts'
import type { Link } from './link.ts'
import { type Lease, Lending, type Memory } from './memory.ts'
import { Rests } from './rests.ts'
import type { Expectation, Shelf } from './shelf.ts'

export interface FetcherParts extends LandingsParts {
  /** Bytes on their way because a reader waits for them. */
  readonly fetchBudgets: FetchBudgets
  readonly memory: Memory
  readonly shelf: Shelf
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

/** A run of blocks of an object. */
export interface BlocksOfObject {
  readonly object: number
  readonly run: BlockRun
}

type Asked = ByteRange | Given | null

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

  /** See {@link Landings}. */
  get shelvedFlights(): number {
    return this.#landings.shelvedFlights
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
   * @param isPassing for a long stream, see {@link Promote}
   * @returns resolves when the bytes are here, or never come; never rejects
   */
  fetchAhead(
    stored: StoredImage,
    { object, run }: BlocksOfObject,
    expectation: Expectation,
    isPassing: boolean,
  ): Promise<void> {
    const { memory, flights, shelf } = this.#parts
    const { image, geometry } = stored
    const { offset, length } = geometry.bytesOf(object, run)
    const lease = memory.lend(length)
    const expected = shelf.expect({ stored, object, run, expectation })
    const flight = new Flight(object, run, {
      ahead: { isPassing, whenUnshelved: then => expected.whenGone(then) },
      fetch: signal => this.#read(image, offset, lease.bytes, { signal }).then(() => lease.bytes),
      free: hasFailed => (hasFailed ? lease.abandon() : lease.release()),
    })
    flights.add(stored.lockKey(object), flight)
    stored.touch(object)
    return flight.arrival.then(
      bytes => {
        expected.put(lease)
        this.#landings.land(stored, flight, bytes)
        // Then the page cache has it, if it went there.
        const isHeld = () => (flight.blocks & ~stored.held(object)) === 0n
        if (!isPassing) void flight.settled.then(() => isHeld() && expected.letGo())
      },
      error => {
        expected.drop()
        flights.remove(stored.lockKey(object), flight)
        if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(image)
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
