/**
 * The origins of a mount: opened, counted, shown.
 *
 * One origin shows its images in the root, several have a directory each. They share the cache; an image belongs to its
 * origin's URL, not to the directory's name, so that a name can move without losing what is cached.
 */
import type { Status } from '../admin/status.ts'
import type { MountedOrigin } from '../cache/cache.ts'
import type { Logger } from '../logger.ts'
import type { ExtentFinder } from '../origin/file.ts'
import { Meter } from '../origin/meter.ts'
import { openOrigin } from '../origin/open.ts'
import type { Origin } from '../origin/origin.ts'
import type { OriginPlace } from './configuration.ts'
import { originOptionsOf } from './origin-settings.ts'

/** Longest source in the mount table, in bytes; the kernel takes a page. */
const sourceBytesMax = 255

export interface OriginsParts {
  readonly addon: ExtentFinder
  readonly logger: Logger
}

interface OpenOrigin {
  readonly place: OriginPlace
  readonly origin: Origin
  readonly meter: Meter
}

export class Origins {
  readonly #open: OpenOrigin[]

  /** @throws CacheError invalid-argument */
  constructor(places: readonly OriginPlace[], { addon, logger }: OriginsParts) {
    this.#open = places.map(place => {
      const meter = new Meter()
      const options = originOptionsOf(place.settings, logger)
      return { place, meter, origin: openOrigin(place.settings.url, { addon, meter, options }) }
    })
  }

  /** As the cache wants them. */
  get mounted(): readonly MountedOrigin[] {
    return this.#open.map(({ place: { directory, settings }, origin }) => ({
      directory,
      origin,
      revalidateSeconds: settings.revalidate / 1000,
    }))
  }

  /** What the mount table shows: the URL of the one origin without credentials, or the names of several. */
  get source(): string {
    const names = this.#open.map(({ place, origin }) => place.directory ?? origin.url)
    return names.join('+').slice(0, sourceBytesMax)
  }

  status(): Pick<Status, 'origin' | 'origins'> {
    const origins = this.#open.map(({ place, origin, meter }) => ({
      name: place.directory,
      url: origin.url,
      ...meter.counters(),
    }))
    const sum = (key: 'requests' | 'bytes' | 'errors') => origins.reduce((total, origin) => total + origin[key], 0)
    const url = this.#open.length === 1 ? this.#open[0]!.origin.url : this.source
    return { origin: { url, requests: sum('requests'), bytes: sum('bytes'), errors: sum('errors') }, origins }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.#open.map(({ origin }) => origin.close()))
  }
}
