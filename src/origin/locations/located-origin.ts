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
import { abortedBy, type CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { ForwardingOrigin } from '../wrappers/forwarding-origin.ts'
import {
  auditReads,
  compareRetryMs,
  locatedImagesMax,
  locationSoonerFactor,
  lookMsMax,
  measurementReads,
  remeasureMs,
  sampleBytes,
} from './limits.ts'
import { Location, type LocationFigures } from './location.ts'
import { RecentAnswers } from './recent-answers.ts'
import { type ComparedLocation, compareLocation, isSame, locateImage } from './same-bytes.ts'

/** `unknown`: not compared yet, and not read. */
export type LocationState = 'origin' | 'unknown' | 'good' | 'away' | 'quarantined'

/** A location of one image, for operators. */
export interface ImageLocation extends LocationFigures {
  readonly state: LocationState
  /** The one that is read next. */
  readonly isRead: boolean
  /** Why it is not read; empty where it may be. */
  readonly reason: string
}

export interface LocatedOriginContext {
  readonly logger: Logger
  /** The readers of session threads, which read the origin itself; null: there are none. */
  readonly readers?: ReaderTable | null
  /** Milliseconds, never going back. */
  readonly now?: () => number
  /** Uniform in [0, 1). */
  readonly random?: () => number
}

/** A location of one image. */
interface Place {
  readonly location: Location
  /** With the validator there; null: not compared yet, or quarantined. */
  image: Image | null
  reason: string
  isQuarantined: boolean
  /** The comparison or measurement under way; never rejects. */
  working: Promise<void> | null
  notBeforeMs: number
  reads: number
}

interface ReadRange {
  readonly image: Image
  readonly offset: number
  readonly target: Uint8Array
}

export class LocatedOrigin extends ForwardingOrigin {
  readonly #parts: Required<Omit<LocatedOriginContext, 'readers'>>
  readonly #primary: Location
  readonly #others: readonly Location[]
  readonly #readers: ReaderTable | null
  readonly #answers = new RecentAnswers<Place | null>()
  readonly #places = new LruMap<string, readonly Place[]>(locatedImagesMax)
  #isMeasuringPrimary = false
  /** Ends comparisons and measurements. */
  readonly #stop = new LightAbortSignal()

  /** @param others Origins of the same keys at other places; closed with this one */
  constructor(inner: Origin, others: readonly Origin[], parts: LocatedOriginContext) {
    super(inner)
    const { now = () => performance.now(), random = Math.random, logger, readers = null } = parts
    this.#parts = { now, random, logger }
    this.#primary = new Location(inner, now)
    this.#others = others.map(origin => new Location(origin, now))
    this.#readers = readers
    if (!readers) return
    // Session threads read the origin itself: only while that is the best.
    readers.mayRead = imageId => this.#bestOf(this.#places.get(imageId) ?? [], sampleBytes) === null
    const { onAnswered } = readers
    readers.onAnswered = (image, bytes, ms) => {
      onAnswered(image, bytes, ms)
      this.#primary.answered(bytes, ms)
      this.#lookAround(image)
    }
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    if (options.signal.aborted) throw abortedBy(options.signal)
    const range = { image, offset, target }
    const places = this.#lookAround(image, options.isProven)
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
    await this.#timed(this.#primary, target.length, () => this.inner.read(image, offset, target, options), options)
    this.#answered(range, null, options)
  }

  /**
   * The locations of an image with their figures, the origin itself first; what is due is compared and measured first,
   * for a while.
   */
  async locationsOf(image: Image): Promise<ImageLocation[]> {
    const places = this.#lookAround(image)
    await Promise.race([Promise.all(places.map(({ working }) => working)), pause(lookMsMax, this.#stop)])
    const best = this.#bestOf(places, sampleBytes)
    const primary = { ...this.#primary.figures, state: 'origin' as const, isRead: best === null, reason: '' }
    const others = places.map((place): ImageLocation => {
      const { location, image: located, isQuarantined, reason } = place
      const known = located === null ? 'unknown' : location.isAway ? 'away' : 'good'
      return { ...location.figures, state: isQuarantined ? 'quarantined' : known, isRead: place === best, reason }
    })
    return [primary, ...others]
  }

  /**
   * Compare every location with the origin, and quarantine those that differ.
   * @throws CacheError aborted, and origin-* of the origin itself
   */
  async compareAll(
    image: Image,
    options: ReadOptions & {
      readonly blockBytes: number
      readonly onBytes: (url: string, doneBytes: number) => void
    },
  ): Promise<ComparedLocation[]> {
    const found: ComparedLocation[] = []
    for (const place of this.#placesOf(image)) {
      const { origin } = place.location
      const onBytes = (doneBytes: number) => options.onBytes(origin.url, doneBytes)
      const compared = await compareLocation(image, this.inner, origin, { ...options, onBytes })
      if (compared.differingBlocks > 0)
        this.#quarantine(image, place, `${compared.differingBlocks} of its blocks are others`)
      found.push(compared)
    }
    return found
  }

  override async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all([super.close(), ...this.#others.map(({ origin }) => origin.close())])
  }

  #placesOf({ id }: Image): readonly Place[] {
    const known = this.#places.use(id)
    if (known) return known
    const places = this.#others.map((location): Place => {
      return { location, image: null, reason: '', isQuarantined: false, working: null, notBeforeMs: 0, reads: 0 }
    })
    this.#places.set(id, places)
    return places
  }

  /** A place gave a range; null: the origin itself. */
  #answered({ image, offset, target }: ReadRange, place: Place | null, { isProven }: ReadOptions): void {
    if (isProven) this.#answers.note(image.id, offset, target.length, place)
    else if (place) this.#audit(image, place, offset, target.length)
  }

  /** The places whose answers for a range were proven wrong: the latest one is read no more, or counts as failed. */
  async #disputed({ image, offset, target }: ReadRange, places: readonly Place[], { signal }: ReadOptions) {
    const wrong = this.#answers.placesOf(image.id, offset, target.length)
    const latest = wrong.at(-1)
    if (latest) {
      latest.location.failed()
      if (!latest.isQuarantined) this.#quarantine(image, latest, `its bytes from ${offset} on do not fit the hash tree`)
    } else if (latest === null) this.#primary.failed()
    // Another place may be about to be known.
    const working = places.flatMap(place => (place.image === null && place.working ? [place.working] : []))
    if (working.length > 0) await Promise.race([Promise.all(working), pause(lookMsMax, signal)])
    return new Set<Place | null>(wrong)
  }

  /** Begin what is due of an image in the background: comparisons, and measurements of locations that are not read. */
  #lookAround(image: Image, isProven = false): readonly Place[] {
    const places = this.#placesOf(image)
    if (this.#stop.aborted) return places
    for (const place of places) {
      const isDue = place.image === null ? !place.isQuarantined : place.location.ageMs > remeasureMs
      if (!isDue || place.working || place.location.isAway || this.#parts.now() < place.notBeforeMs) continue
      place.notBeforeMs = this.#parts.now() + compareRetryMs
      const work =
        place.image === null ? this.#compare(image, place, isProven) : this.#measure(image, place.location, place.image)
      place.working = work.finally(() => {
        place.working = null
      })
    }
    const isPrimaryDue = this.#primary.ageMs > remeasureMs && !this.#primary.isAway && !this.#isMeasuringPrimary
    if (isPrimaryDue && places.some(({ image: located }) => located !== null)) {
      this.#isMeasuringPrimary = true
      void this.#measure(image, this.#primary, image).then(() => {
        this.#isMeasuringPrimary = false
      })
    }
    return places
  }

  /** Never rejects. */
  async #compare(image: Image, place: Place, isProven: boolean): Promise<void> {
    const { location } = place
    const options = { signal: this.#stop, isOptional: true, isProven }
    try {
      const { random } = this.#parts
      const { image: located, difference } = await locateImage(image, this.inner, location.origin, random, options)
      if (located === null) return this.#quarantine(image, place, difference)
      place.image = located
      place.reason = ''
      await this.#measure(image, this.#primary, image)
      await this.#measure(image, location, located)
      this.#changed(image)
    } catch (error) {
      if (this.#stop.aborted) return
      place.reason = messageOf(error)
      if (!isCacheError(error, 'not-found', 'image-changed')) location.failed()
      this.#parts.logger.debug(
        { image: image.key, location: location.origin.url, reason: place.reason },
        'a location could not be compared with the origin; it is not read yet',
      )
    }
  }

  /** Never rejects. */
  async #measure(image: Image, location: Location, located: Image): Promise<void> {
    const length = Math.min(sampleBytes, image.sizeBytes)
    const samples = Math.max(1, Math.floor(image.sizeBytes / sampleBytes))
    const offset = Math.min(Math.floor(this.#parts.random() * samples) * sampleBytes, image.sizeBytes - length)
    const options = { signal: this.#stop, isOptional: true }
    const read = () => location.origin.read(located, offset, Buffer.allocUnsafeSlow(length), options)
    let soonestMs = Number.POSITIVE_INFINITY
    try {
      for (let reads = 0; reads < measurementReads; reads++) {
        soonestMs = Math.min(soonestMs, await this.#timed(location, length, read, options))
      }
      location.measured(soonestMs)
    } catch {} // It counts as failed.
    this.#changed(image)
  }

  /** Now and then: were these the origin's bytes? */
  #audit(image: Image, place: Place, offset: number, length: number): void {
    const { image: located, location } = place
    if (located === null || place.reads++ % auditReads !== 0 || this.#stop.aborted) return
    const range = { primary: this.inner, location: location.origin, offset, length: Math.min(length, sampleBytes) }
    const options = { signal: this.#stop, isOptional: true }
    void isSame(image, located, range, options).then(
      same => same || this.#quarantine(image, place, `its bytes from ${offset} on are others`),
      () => {}, // One of them did not answer: nothing is known.
    )
  }

  #quarantine(image: Image, place: Place, reason: string): void {
    place.image = null
    place.isQuarantined = true
    place.reason = reason
    const facts = { image: image.key, location: place.location.origin.url, reason }
    this.#parts.logger.error(facts, 'a location differs from the origin; it is not read any more')
    this.#changed(image)
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
      await this.#timed(location, target.length, () => read(options), { signal })
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

  /** @returns the time that it took, in milliseconds */
  async #timed(location: Location, bytes: number, read: () => Promise<void>, { signal }: ReadOptions): Promise<number> {
    const { now } = this.#parts
    const startMs = now()
    try {
      await read()
      const tookMs = now() - startMs
      location.answered(bytes, tookMs)
      return tookMs
    } catch (error) {
      if (!signal.aborted) location.failed()
      throw error
    }
  }

  #changed({ id }: Image): void {
    this.#readers?.changed(id)
  }
}

function isOwnAnswer(error: unknown): error is CacheError {
  return isCacheError(error, 'image-changed', 'not-found', 'access-denied', 'image-corrupt')
}
