/**
 * Stores behind an image service, which this host reads by itself: a location of an image, as the service says it,
 * leads to an Origin and a key there.
 *
 * A location is no address: `swift+config://ref1/glance/ID` names a section of the server's own configuration, and that
 * of S3 has the server's keys in it. So the configuration says which beginning of a location stands for which origin.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Origin } from '../contract/origin.ts'
import { storedImagesMax } from './limits.ts'

/** One of them. */
export interface ImageStore {
  /** Beginning of the locations that it has, without credentials, such as `swift+config://ref1/glance/`. */
  readonly location: string
  readonly origin: Origin
}

/** An image where it really lies. */
export interface StoredCopy {
  readonly origin: Origin
  readonly image: Image
}

/** The image that is looked for. */
interface Wanted {
  readonly id: string
  readonly sizeBytes: number
  /** As the service says them, credentials and all. */
  readonly locations: readonly string[]
}

export class ImageStores {
  readonly #stores: readonly ImageStore[]
  readonly #logger: Logger
  /** By id of the image service. */
  readonly #copies = new LruMap<string, StoredCopy>(storedImagesMax)
  /** Ids that were said to have no copy. */
  readonly #said = new LruMap<string, true>(storedImagesMax)

  constructor(stores: readonly ImageStore[], logger: Logger) {
    this.#stores = stores
    this.#logger = logger
  }

  get isEmpty(): boolean {
    return this.#stores.length === 0
  }

  /** Is it a location in one of them? */
  has(location: string): boolean {
    const plain = withoutKeys(location)
    return this.#stores.some(store => plain.startsWith(store.location))
  }

  /** The copy that was found before; null: none. */
  known(id: string): StoredCopy | null {
    return this.#copies.use(id) ?? null
  }

  /** Look for it anew at its next read. */
  forget(id: string): void {
    this.#copies.delete(id)
  }

  /**
   * The copy in the first store that has it, in the order of the image's locations; null: in none.
   * @throws CacheError of the store that was asked last, when that could not answer
   */
  async find(wanted: Wanted, signal: CancelSignal): Promise<StoredCopy | null> {
    let failure: unknown = null
    for (const [origin, key] of this.#placesOf(wanted.locations)) {
      try {
        const { isSequential, ...facts } = await origin.lookup(key, { signal })
        if (isSequential !== true && facts.sizeBytes === wanted.sizeBytes) {
          const copy = { origin, image: identify(facts) }
          this.#copies.set(wanted.id, copy)
          return copy
        }
        this.#complain(wanted, `${origin.url}: ${facts.sizeBytes} bytes in place of ${wanted.sizeBytes}`)
      } catch (error) {
        if (isCacheError(error, 'aborted')) throw error
        if (!isCacheError(error, 'not-found')) failure = error
        this.#complain(wanted, `${origin.url}: ${(error as Error).message}`)
      }
    }
    if (failure !== null) throw failure
    return null
  }

  /** Idempotent, as its origins are. */
  async close(): Promise<void> {
    await Promise.all(this.#stores.map(({ origin }) => origin.close()))
  }

  #placesOf(locations: readonly string[]): [Origin, string][] {
    return locations.map(withoutKeys).flatMap(location => {
      const store = this.#stores.find(store => location.startsWith(store.location))
      const key = store && keyIn(store, location.slice(store.location.length))
      return store && key ? [[store.origin, key] satisfies [Origin, string]] : []
    })
  }

  #complain({ id }: Wanted, why: string): void {
    if (this.#said.use(id)) return
    this.#said.set(id, true)
    this.#logger.warn({ image: id, why }, 'an image is not in the store that its location names')
  }
}

/** A location without what opens it. Swift and S3 have keys with slashes there, and no `@` behind them. */
export function withoutKeys(location: string): string {
  const [, scheme = '', rest = ''] = /^([a-z0-9+.-]+:\/\/)(.*)$/is.exec(location) ?? []
  const keys = /^(s3|swift)/i.test(scheme) ? /^.*@/s : /^[^/]*@/
  return scheme.toLowerCase() + rest.replace(keys, '')
}

/** The key of what is left of a location; null: it has none. Glance writes `rbd://CLUSTER/POOL/IMAGE/SNAPSHOT`. */
function keyIn({ origin, location }: ImageStore, rest: string): string | null {
  try {
    if (!location.startsWith('rbd://')) return rest === '' ? null : decodeURIComponent(rest)
    const [image, snapshot, ...more] = rest.split('/').map(decodeURIComponent)
    return image && snapshot && more.length === 0 ? `${image}@${snapshot}` : null
  } catch (cause) {
    throw new CacheError('origin-protocol', `${origin.url}: a location has an encoding that is wrong`, { cause })
  }
}
