/**
 * Vetted locations: places that the image service of an origin tells of, as a list of URLs for each image, and that may
 * be read.
 *
 * A URL leads there by the rules of a redirect from the service: to web servers alone, never from https down to http,
 * and to addresses of this machine or its link only from there. Nothing that a URL does not have is sent with it, and
 * another parentfs is asked for bytes that it holds, never to bring some: two hosts do not wait for each other.
 */
import type { LookupFunction } from 'node:net'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { type CacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import { isImageName } from '../contract/image-name.ts'
import type { Origin } from '../contract/origin.ts'
import { withoutCredentials } from '../contract/url-credentials.ts'
import { LocalRedirects } from '../http/protocol/local-redirects.ts'
import { toldHostsMax, toldPlacesMax } from './limits.ts'
import { Location } from './location.ts'
import type { ToldPlace, ToldPlaces } from './location-table.ts'

/** A URL as the service tells it. */
export interface ToldUrl {
  readonly url: string
  /** The origin itself reads it there. */
  readonly isOrigins: boolean
}

/** The service that tells of places. */
export interface LocationTeller {
  /** @throws CacheError origin-*, aborted */
  tell(image: Image, signal: CancelSignal): Promise<{ readonly service: URL; readonly urls: readonly ToldUrl[] }>
}

export interface ToldLocationsContext {
  readonly teller: LocationTeller
  /** Resolves names. */
  readonly lookup: LookupFunction
  /** An origin of the files below a URL. @throws CacheError invalid-argument */
  open(base: string, lookup: LookupFunction): Origin
  /** Why a place is not read as a told one, such as this host itself; null: it may be. */
  refusal(url: URL): string | null
  readonly now: () => number
}

export class ToldLocations implements ToldPlaces {
  readonly #parts: ToldLocationsContext
  readonly #closing = new Set<Promise<void>>()
  /** By the URL of their directory. */
  readonly #hosts = new LruMap<string, Location>(toldHostsMax, { onLeave: location => this.#leave(location) })

  constructor(parts: ToldLocationsContext) {
    this.#parts = parts
  }

  async placesOf(image: Image, signal: CancelSignal): Promise<ToldPlace[]> {
    const { service, urls } = await this.#parts.teller.tell(image, signal)
    const redirects = new LocalRedirects(service.origin, this.#parts.lookup)
    return await Promise.all(urls.slice(0, toldPlacesMax).map(told => this.#placeOf(told, service, redirects)))
  }

  /** Idempotent. */
  async close(): Promise<void> {
    for (const [base, location] of [...this.#hosts.keys()].map(base => [base, this.#hosts.get(base)!] as const)) {
      this.#hosts.delete(base)
      this.#leave(location)
    }
    await Promise.all([...this.#closing])
  }

  /** Never rejects. */
  async #placeOf({ url: told, isOrigins }: ToldUrl, service: URL, redirects: LocalRedirects): Promise<ToldPlace> {
    const url = withoutCredentials(told)
    const refused = (reason: string): ToldPlace => ({ url, at: null, isOrigins: false, reason })
    if (isOrigins) return { url, at: null, isOrigins, reason: '' }
    const place = URL.canParse(told) ? new URL(told) : null
    if (place === null) return refused('it is no URL')
    const why = this.#parts.refusal(place) ?? refusalOf(place, service)
    if (why !== null) return refused(why)
    const key = keyOf(place)
    if (key === null) return refused('its name is none of a file')
    try {
      await redirects.mustBeAllowed(place)
      return { url, at: { location: this.#locationOf(new URL('.', place), redirects), key }, isOrigins, reason: '' }
    } catch (error) {
      return refused(messageOf(error as CacheError))
    }
  }

  #locationOf(base: URL, redirects: LocalRedirects): Location {
    const known = this.#hosts.use(base.href)
    if (known) return known
    const { open, now } = this.#parts
    const location = new Location(open(base.href, redirects.lookupFor(base.origin)), now)
    this.#hosts.set(base.href, location)
    return location
  }

  #leave({ origin }: Location): void {
    const closing = origin.close().catch(() => {}) // Its reads say so themselves.
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }
}

/** The rules of a redirect that need no address. */
function refusalOf({ protocol, search, hash }: URL, service: URL): string | null {
  if (protocol !== 'http:' && protocol !== 'https:')
    return `${protocol.slice(0, -1)}: a store that this host has no credentials for; origin.stores names such ones`
  if (protocol === 'http:' && service.protocol === 'https:')
    return 'http, and the image service is asked over https: bytes are not taken with less protection'
  return search !== '' || hash !== '' ? 'it has a query, which may be signed and end' : null
}

/** The name of the file, decoded; null: it is none. */
function keyOf({ pathname }: URL): string | null {
  try {
    const key = decodeURIComponent(pathname.slice(pathname.lastIndexOf('/') + 1))
    return isImageName(key) ? key : null
  } catch {
    return null
  }
}
