/**
 * Origins that leave a running mount, as the daemon sees them: by an operator's word, by a reload, or begun by an
 * earlier worker. The supervisor knows which are leaving, so that the next worker goes on with them.
 */
import { CacheError } from '../../base/errors.ts'
import type { DrainProgress, EmptiedCache } from '../../cache/operations/empty-cache.ts'
import type { LongOptions } from '../../cache/operations/operations.ts'
import type { OriginRemovals } from '../../cache/origin-removal.ts'
import { identityOf } from '../../origin/open-origin.ts'
import type { OriginPlace } from '../config/configuration.ts'

/** A message to the supervisor. */
export type OriginDeparture = { readonly type: 'origin-leaving' | 'origin-removed'; readonly directory: string }

export class LeavingOrigins {
  readonly #removals: OriginRemovals
  readonly #places: () => readonly OriginPlace[]
  #tell: (departure: OriginDeparture) => Promise<void> = async () => {}

  /** @param drop closes an origin of which nothing is left */
  constructor(removals: OriginRemovals, places: () => readonly OriginPlace[], drop: (directory: string) => void) {
    this.#removals = removals
    this.#places = places
    removals.onRemoved = async url => {
      const directory = places().find(each => urlOf(each) === url)?.directory ?? null
      if (directory === null) return
      drop(directory)
      await this.#tell({ type: 'origin-removed', directory })
    }
  }

  /** Go on with those that an earlier worker has begun, and say from now on which leave. */
  start(directories: readonly string[], tell: (departure: OriginDeparture) => Promise<void>): void {
    this.#tell = tell
    for (const directory of directories) {
      const place = this.#places().find(each => each.directory === directory)
      if (place) this.#removals.begin(urlOf(place))
    }
  }

  /** Put places into force by `work`, while none of them ends leaving; see {@link OriginRemovals.holding}. */
  holding<T>(wanted: readonly OriginPlace[], work: () => Promise<T>): Promise<T> {
    return this.#removals.holding(new Set(wanted.map(urlOf)), work)
  }

  /**
   * One that is leaving under another name has to be gone first.
   * @throws CacheError invalid-argument
   */
  mustBeOnce(places: readonly OriginPlace[]): void {
    const known = new Map<string, string | null>()
    for (const place of places) {
      const url = urlOf(place)
      if (known.has(url)) {
        const why = `${url} is still leaving as ${known.get(url)}: try again when "parentfs status" shows it no more`
        throw new CacheError('invalid-argument', why)
      }
      known.set(url, place.directory)
    }
  }

  /** Begin with some, and have those stay that are wanted again. */
  async change(leaving: readonly string[], wanted: readonly OriginPlace[]): Promise<void> {
    const [removals, places] = [this.#removals, this.#places]
    const urls = new Set(wanted.map(urlOf))
    for (const url of removals.urls) if (urls.has(url)) await removals.cancel(url)
    for (const directory of leaving) {
      const place = places().find(each => each.directory === directory)
      if (!place) continue
      await this.#tell({ type: 'origin-leaving', directory })
      removals.begin(urlOf(place))
    }
  }

  /**
   * Remove an origin; resolves when nothing is left of it. Who leaves earlier leaves the removal to go on.
   * @param named its directory or URL
   * @throws CacheError not-found, invalid-argument, aborted
   */
  async remove(named: string, options: LongOptions<DrainProgress>): Promise<EmptiedCache> {
    const [removals, places] = [this.#removals, this.#places]
    const place = places().find(
      each => each.directory === named || each.settings.url === named || urlOf(each) === named,
    )
    if (!place) {
      const names = places().map(each => each.directory ?? urlOf(each))
      throw new CacheError('not-found', `there is no origin ${JSON.stringify(named)}: there is ${names.join(', ')}`)
    }
    const { directory } = place
    const url = urlOf(place)
    const staying = places().filter(each => each !== place && !removals.urls.includes(urlOf(each)))
    if (directory === null || staying.length === 0) {
      throw new CacheError('invalid-argument', `${named} is the only origin of the mount: unmount it instead`)
    }
    await this.#tell({ type: 'origin-leaving', directory })
    removals.begin(url)
    return await removals.wait(url, options)
  }
}

function urlOf({ settings }: OriginPlace): string {
  return identityOf(settings.url)
}
