/**
 * Location table: the places of each image beside its origin, with their outcome of the comparison with it. What is due
 * is compared and measured in the background: new places at once, those that are not read once in a while.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { LocationKind } from './image-location.ts'
import {
  auditReads,
  compareRetryMs,
  locatedImagesMax,
  measurementReads,
  remeasureMs,
  sampleBytes,
  toldRefreshMs,
} from './limits.ts'
import type { Location } from './location.ts'
import { isSame, locateImage } from './same-bytes.ts'

/** A location of one image. */
export interface Place {
  readonly location: Location
  readonly kind: Exclude<LocationKind, 'origin' | 'member'>
  /** The image's name there; null: that of the origin. */
  readonly key: string | null
  readonly url: string
  /** With the validator there; null: not compared yet, or quarantined. */
  image: Image | null
  reason: string
  isQuarantined: boolean
  /** The comparison or measurement under way; never rejects. */
  working: Promise<void> | null
  notBeforeMs: number
  reads: number
}

/** A place that the image service tells: at a location by a key, or not used as one. */
export interface ToldPlace {
  readonly url: string
  readonly at: { readonly location: Location; readonly key: string } | null
  /** The origin itself reads it there. */
  readonly isOrigins: boolean
  readonly reason: string
}

/** Finds the places that the service of an origin tells. */
export interface ToldPlaces {
  /** @throws CacheError origin-*, aborted */
  placesOf(image: Image, signal: CancelSignal): Promise<readonly ToldPlace[]>
  /** Idempotent. */
  close(): Promise<void>
}

export interface LocationTableContext {
  readonly primary: Location
  /** By the same keys as the origin. */
  readonly others: readonly Location[]
  /** Null: nobody tells of others. */
  readonly told: ToldPlaces | null
  readonly logger: Logger
  readonly now: () => number
  readonly random: () => number
  /** Other places of an image may be read now. */
  onChange(image: Image): void
}

interface Entry {
  places: readonly Place[]
  /** Told, and not read as places of their own. */
  unusable: readonly ToldPlace[]
  toldMs: number
  /** The question for told places; never rejects. */
  telling: Promise<void> | null
}

export class LocationTable {
  readonly #parts: LocationTableContext
  readonly #entries = new LruMap<string, Entry>(locatedImagesMax)
  #isMeasuringPrimary = false
  /** Ends comparisons and measurements. */
  readonly stop = new LightAbortSignal()

  constructor(parts: LocationTableContext) {
    this.#parts = parts
  }

  /** Known places of an image; nothing is begun. */
  known(imageId: string): readonly Place[] {
    return this.#entries.get(imageId)?.places ?? []
  }

  placesOf({ id }: Image): readonly Place[] {
    return this.#entryOf(id).places
  }

  /** Places that are told, and not used. */
  unusableOf({ id }: Image): readonly ToldPlace[] {
    return this.#entryOf(id).unusable
  }

  /** Told places are asked for now, and what is due is begun. Never rejects. */
  async refreshed(image: Image): Promise<void> {
    const entry = this.#entryOf(image.id)
    entry.toldMs = Number.NEGATIVE_INFINITY
    this.lookAround(image)
    await entry.telling
    this.lookAround(image)
  }

  /** Begin what is due of an image in the background: comparisons, and measurements of locations that are not read. */
  lookAround(image: Image, isProven = false): readonly Place[] {
    const entry = this.#entryOf(image.id)
    const { now, primary, told } = this.#parts
    if (this.stop.aborted) return entry.places
    if (told && !entry.telling && now() - entry.toldMs > toldRefreshMs) this.#tell(image, entry, told)
    const { places } = entry
    for (const place of places) {
      const isDue = place.image === null ? !place.isQuarantined : place.location.ageMs > remeasureMs
      if (!isDue || place.working || place.location.isAway || now() < place.notBeforeMs) continue
      place.notBeforeMs = now() + compareRetryMs
      const work =
        place.image === null ? this.#compare(image, place, isProven) : this.#measure(image, place.location, place.image)
      place.working = work.finally(() => {
        place.working = null
      })
    }
    const isPrimaryDue = primary.ageMs > remeasureMs && !primary.isAway && !this.#isMeasuringPrimary
    if (isPrimaryDue && places.some(({ image: located }) => located !== null)) {
      this.#isMeasuringPrimary = true
      void this.#measure(image, primary, image).then(() => {
        this.#isMeasuringPrimary = false
      })
    }
    return places
  }

  /** Now and then: were these the origin's bytes? */
  audit(image: Image, place: Place, offset: number, length: number): void {
    const { image: located, location } = place
    if (located === null || place.reads++ % auditReads !== 0 || this.stop.aborted) return
    const { origin: primary } = this.#parts.primary
    const range = { primary, location: location.origin, offset, length: Math.min(length, sampleBytes) }
    const options = { signal: this.stop, isOptional: true }
    void isSame(image, located, range, options).then(
      same => same || this.quarantine(image, place, `its bytes from ${offset} on are others`),
      () => {}, // One of them did not answer: nothing is known.
    )
  }

  /** It is not read for this image any more. */
  quarantine(image: Image, place: Place, reason: string): void {
    place.image = null
    place.isQuarantined = true
    place.reason = reason
    const facts = { image: image.key, location: place.url, reason }
    this.#parts.logger.error(facts, 'a location differs from the origin; it is not read any more')
    this.#parts.onChange(image)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.stop.abort()
    const { others, told } = this.#parts
    await Promise.all([...others.map(({ origin }) => origin.close()), told?.close()])
  }

  #entryOf(imageId: string): Entry {
    const known = this.#entries.use(imageId)
    if (known) return known
    const { others } = this.#parts
    const places = others.map(location => newPlace(location, 'configured', null, location.origin.url))
    const entry = { places, unusable: [], toldMs: Number.NEGATIVE_INFINITY, telling: null }
    this.#entries.set(imageId, entry)
    return entry
  }

  /** Have those that are told take their places; what is known of a place that is told again stays. */
  #tell(image: Image, entry: Entry, told: ToldPlaces): void {
    entry.toldMs = this.#parts.now()
    const take = (places: readonly ToldPlace[]) => {
      const own = entry.places.filter(({ kind }) => kind === 'configured')
      const next = places.flatMap(({ url, at }) => {
        if (!at) return []
        const before = entry.places.find(place => place.url === url && place.location === at.location)
        return before ?? newPlace(at.location, 'told', at.key, url)
      })
      entry.places = [...own, ...next]
      entry.unusable = places.filter(({ at }) => at === null)
      this.lookAround(image)
      this.#parts.onChange(image)
    }
    // A service that does not answer is asked again at the next turn.
    entry.telling = told
      .placesOf(image, this.stop)
      .then(take, () => {})
      .finally(() => {
        entry.telling = null
      })
  }

  /** Never rejects. */
  async #compare(image: Image, place: Place, isProven: boolean): Promise<void> {
    const { location, key } = place
    const { random, primary, logger, onChange } = this.#parts
    const options = { signal: this.stop, isOptional: true, isProven }
    try {
      const there = { location: location.origin, key: key ?? image.key }
      const { image: located, difference } = await locateImage(image, primary.origin, there, random, options)
      if (located === null) return this.quarantine(image, place, difference)
      place.image = located
      place.reason = ''
      await this.#measure(image, primary, image)
      await this.#measure(image, location, located)
      onChange(image)
    } catch (error) {
      if (this.stop.aborted) return
      place.reason = messageOf(error)
      if (!isCacheError(error, 'not-found', 'image-changed')) location.failed()
      const facts = { image: image.key, location: place.url, reason: place.reason }
      logger.debug(facts, 'a location could not be compared with the origin; it is not read yet')
    }
  }

  /** Never rejects. */
  async #measure(image: Image, location: Location, located: Image): Promise<void> {
    const length = Math.min(sampleBytes, image.sizeBytes)
    const samples = Math.max(1, Math.floor(image.sizeBytes / sampleBytes))
    const offset = Math.min(Math.floor(this.#parts.random() * samples) * sampleBytes, image.sizeBytes - length)
    const options = { signal: this.stop, isOptional: true }
    const read = () => location.origin.read(located, offset, Buffer.allocUnsafeSlow(length), options)
    let soonestMs = Number.POSITIVE_INFINITY
    try {
      for (let reads = 0; reads < measurementReads; reads++) {
        soonestMs = Math.min(soonestMs, await location.timed(length, read, options))
      }
      location.measured(soonestMs)
    } catch {} // It counts as failed.
    this.#parts.onChange(image)
  }
}

function newPlace(location: Location, kind: Place['kind'], key: string | null, url: string): Place {
  const nothing = { image: null, reason: '', isQuarantined: false, working: null, notBeforeMs: 0, reads: 0 }
  return { location, kind, key, url, ...nothing }
}
