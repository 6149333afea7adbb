/**
 * Located origin: an Origin whose images have further locations. Names, versions and digests are those of the origin
 * itself; reads go to the location that is expected to answer first, and on to the next within the same call.
 *
 * A location is read after its size, its digest or samples of its bytes agreed with the origin's. Now and then a read
 * is compared again. A location that disagrees is quarantined for that image until the origin is opened anew. Where
 * bytes are proven, their proof takes the place of both comparisons.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import { abortedBy, type CacheError, isCacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin } from '../wrappers/forwarding-origin.ts'
import { type ComparedLocation, type ComparisonOptions, compareLocations } from './compare-locations.ts'
import type { ImageLocation } from './image-location.ts'
import { locationSoonerFactor, lookMsMax, sampleBytes } from './limits.ts'
import { Location, noFigures } from './location.ts'
import { LocationTable, type Place, type ToldPlaces } from './location-table.ts'
import { RecentAnswers } from './recent-answers.ts'
import { comparableLocation } from './same-bytes.ts'

export interface LocatedOriginContext {
  readonly logger: Logger
  /** The readers of session threads, which read the origin itself; null: there are none. */
  readonly readers?: ReaderTable | null
  /** Finds further places at the service of the origin; null: it tells none. Closed with the origin. */
  readonly told?: ToldPlaces | null
  /** Milliseconds, never going back. */
  readonly now?: () => number
  /** Uniform in [0, 1). */
  readonly random?: () => number
}

interface ReadRange {
  readonly image: Image
  readonly offset: number
  readonly target: Uint8Array
}

export class LocatedOrigin extends ForwardingOrigin {
  readonly #primary: Location
  readonly #places: LocationTable
  readonly #answers = new RecentAnswers<Place | null>()

  /** @param others Origins of the same keys at other places; closed with this one */
  constructor(inner: Origin, others: readonly Origin[], parts: LocatedOriginContext) {
    super(inner)
    const { now = () => performance.now(), random = Math.random, logger, readers = null, told = null } = parts
    this.#primary = new Location(inner, now)
    const primary = this.#primary
    const onChange = ({ id }: Image) => readers?.changed(id)
    const further = others.map(origin => new Location(origin, now))
    this.#places = new LocationTable({ primary, others: further, told, logger, now, random, onChange })
    if (!readers) return
    // Session threads read the origin itself: only while that is the best.
    readers.mayRead = imageId => this.#bestOf(this.#places.known(imageId), sampleBytes) === null
    const { onAnswered } = readers
    readers.onAnswered = (image, bytes, ms) => {
      onAnswered(image, bytes, ms)
      this.#primary.answered(bytes, ms)
      this.#places.lookAround(image)
    }
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    if (options.signal.aborted) throw abortedBy(options.signal)
    const range = { image, offset, target }
    const places = this.#places.lookAround(image, options.isProven)
    const tried = options.isDisputed ? await this.#disputed(range, places, options) : new Set<Place | null>()
    for (;;) {
      const best = this.#bestOf(places, target.length, tried)
      if (best === null) break
      tried.add(best)
      if (await this.#readAt(best, offset, target, options)) return this.#answered(range, best, options)
    }
    // While others are left, the origin has its time, too.
    const spare = places.find(place => place.image !== null && !tried.has(place))
    const isPrimaryTried = tried.has(null)
    if (spare && !isPrimaryTried && (await this.#tryPrimary(image, offset, target, options))) {
      return this.#answered(range, null, options)
    }
    if (spare && (await this.#readAt(spare, offset, target, options))) return this.#answered(range, spare, options)
    await this.#primary.timed(target.length, () => this.inner.read(image, offset, target, options), options)
    this.#answered(range, null, options)
  }

  /**
   * The locations of an image with their figures, the origin itself first; what is due is compared and measured first,
   * for a while.
   */
  async locationsOf(image: Image): Promise<ImageLocation[]> {
    const settled = this.#places.refreshed(image).then(() => {
      return Promise.all(this.#places.placesOf(image).map(({ working }) => working))
    })
    await Promise.race([settled, pause(lookMsMax, this.#places.stop)])
    const places = this.#places.placesOf(image)
    const best = this.#bestOf(places, sampleBytes)
    const [reason, heldBytes] = ['', null]
    const primary = { ...this.#primary.figures, kind: 'origin', state: 'origin', isRead: best === null } as const
    const others = places.map((place): ImageLocation => {
      const { location, image: located, isQuarantined, reason, kind, url } = place
      const known = located === null ? 'unknown' : location.isAway ? 'away' : 'good'
      const state = isQuarantined ? 'quarantined' : known
      return { ...location.figures, url, kind, state, isRead: place === best, heldBytes, reason }
    })
    const unusable = this.#places.unusableOf(image).map(({ url, isOrigins, reason }): ImageLocation => {
      const state = isOrigins ? 'origin' : 'unusable'
      return { ...noFigures, url, kind: 'told', state, isRead: isOrigins && best === null, heldBytes, reason }
    })
    return [{ ...primary, heldBytes, reason }, ...others, ...unusable]
  }

  /**
   * Compare every location with the origin, and quarantine those that differ.
   * @throws CacheError aborted, and origin-* of the origin itself
   */
  async compareAll(image: Image, options: ComparisonOptions): Promise<ComparedLocation[]> {
    await Promise.race([this.#places.refreshed(image), pause(lookMsMax, options.signal)])
    const places = this.#places.placesOf(image).map(place => {
      const { key, location, url } = place
      const onDifferent = (reason: string) => this.#places.quarantine(image, place, reason)
      return {
        ...comparableLocation(image, this.inner, { location: location.origin, key: key ?? image.key, onDifferent }),
        url,
      }
    })
    return await compareLocations(image, this.inner, places, options)
  }

  override async close(): Promise<void> {
    await Promise.all([super.close(), this.#places.close()])
  }

  /** A place gave a range; null: the origin itself. */
  #answered({ image, offset, target }: ReadRange, place: Place | null, { isProven }: ReadOptions): void {
    if (isProven) this.#answers.note(image.id, offset, target.length, place)
    else if (place) this.#places.audit(image, place, offset, target.length)
  }

  /** The places whose answers for a range were proven wrong: the latest one is read no more, or counts as failed. */
  async #disputed({ image, offset, target }: ReadRange, places: readonly Place[], { signal }: ReadOptions) {
    const wrong = this.#answers.placesOf(image.id, offset, target.length)
    const latest = wrong.at(-1)
    if (latest) {
      latest.location.failed()
      const reason = `its bytes from ${offset} on do not fit the hash tree`
      if (!latest.isQuarantined) this.#places.quarantine(image, latest, reason)
    } else if (latest === null) this.#primary.failed()
    // Another place may be about to be known.
    const working = places.flatMap(place => (place.image === null && place.working ? [place.working] : []))
    if (working.length > 0) await Promise.race([Promise.all(working), pause(lookMsMax, signal)])
    return new Set<Place | null>(wrong)
  }

  /** The best place other than the origin; null: the origin is. */
  #bestOf(places: readonly Place[], bytes: number, tried: ReadonlySet<Place | null> = new Set()): Place | null {
    const primaryMs =
      this.#primary.isAway || tried.has(null) ? Number.POSITIVE_INFINITY : this.#primary.expectedMs(bytes)
    let best: Place | null = null
    // Without figures of the origin there is nothing to compare with.
    let bestMs = (primaryMs ?? 0) * locationSoonerFactor
    for (const place of places) {
      if (place.image === null || place.location.isAway || tried.has(place)) continue
      const ms = place.location.expectedMs(bytes)
      if (ms === null || ms >= bestMs) continue
      best = place
      bestMs = ms
    }
    return best
  }

  /** A try with a time of its own. @returns false when another place is to be asked. @throws CacheError aborted */
  async #readAt(place: Place, offset: number, target: Uint8Array, options: ReadOptions) {
    const { location, image } = place
    if (image === null) return false
    return await this.#try(location, target, options, own =>
      location.origin.read(image, offset, target, own).catch(error => {
        // Another version is there now: it is compared anew.
        if (isCacheError(error, 'image-changed', 'not-found')) place.image = null
        throw error
      }),
    )
  }

  #tryPrimary(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<boolean> {
    return this.#try(this.#primary, target, options, own => this.inner.read(image, offset, target, own))
  }

  async #try(
    location: Location,
    target: Uint8Array,
    { signal, opener, trace }: ReadOptions,
    read: (options: ReadOptions) => Promise<void>,
  ): Promise<boolean> {
    const own = new LightAbortSignal(signal)
    const timer = setTimeout(() => own.abort(), location.tryMs(target.length))
    try {
      const options = { signal: own, opener, isOptional: true, trace }
      await location.timed(target.length, () => read(options), { signal })
      return true
    } catch (error) {
      if (signal.aborted) throw error
      // The origin says so of its own version: all others are copies of what it no longer has.
      if (location === this.#primary && isOwnAnswer(error)) throw error
      return false
    } finally {
      clearTimeout(timer)
      own.end()
    }
  }
}

function isOwnAnswer(error: unknown): error is CacheError {
  return isCacheError(error, 'image-changed', 'not-found', 'access-denied', 'image-corrupt')
}
