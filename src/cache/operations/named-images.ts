/**
 * Images by the names that operators use, as status shows them: `name`, or `directory/name` where there are several
 * origins. An origin is named by its directory or its URL.
 */
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { ImageEntry } from '../../index/index-database.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { Catalog } from '../names/catalog.ts'

/** With the directory that shows its images; null is the root. */
export interface NamedOrigin {
  readonly directory: string | null
  readonly origin: Origin
}

/** The image of a name. */
export interface NamedImage {
  readonly name: string
  readonly origin: Origin
  /** Without its directory. */
  readonly own: string
  readonly entry: ImageEntry
}

export interface NamedImagesContext {
  readonly origins: readonly NamedOrigin[]
  readonly catalog: Pick<Catalog, 'known' | 'imageOfName' | 'lookup'>
}

export class NamedImages {
  readonly #parts: NamedImagesContext

  constructor(parts: NamedImagesContext) {
    this.#parts = parts
  }

  /** Every name that means something; nothing is asked. */
  known(): NamedImage[] {
    return this.#parts.origins.flatMap(({ directory, origin }) =>
      this.#parts.catalog
        .known(origin)
        .map(({ name, entry }) => ({ name: shownName(directory, name), origin, own: name, entry })),
    )
  }

  /** The image of a name, as far as is known; nothing is asked. @throws CacheError not-found */
  mustKnow(name: string): NamedImage {
    const { origin, own } = this.place(name)
    const entry = this.#parts.catalog.imageOfName(origin, own)
    if (!entry) throw noImage(name)
    return { name, origin, own, entry }
  }

  /** The image of a name now; the origin is asked when that is due. @throws CacheError not-found, origin-*, aborted */
  async find(name: string, signal: AbortSignal): Promise<NamedImage> {
    const { origin, own } = this.place(name)
    try {
      return { name, origin, own, entry: await this.#parts.catalog.lookup(origin, own, { signal }) }
    } catch (error) {
      if (isCacheError(error, 'not-found')) throw noImage(name)
      throw error
    }
  }

  /** Split a name at its directory. @throws CacheError not-found */
  place(name: string): { readonly origin: Origin; readonly own: string } {
    for (const { directory, origin } of this.#parts.origins) {
      if (directory === null) return { origin, own: name }
      if (name.startsWith(`${directory}/`)) return { origin, own: name.slice(directory.length + 1) }
    }
    throw noImage(name)
  }

  /** @throws CacheError not-found */
  origin(name: string): NamedOrigin {
    const { origins } = this.#parts
    const bare = withoutSlash(name)
    const found = origins.find(({ directory, origin }) => directory === bare || withoutSlash(origin.url) === bare)
    if (found) return found
    const names = origins.map(({ directory, origin }) => directory ?? origin.url).join(', ')
    throw new CacheError('not-found', `there is no origin ${JSON.stringify(name)}: there is ${names}`)
  }
}

/** URLs of directories are written with a slash at their end, and without. */
function withoutSlash(name: string): string {
  return name.endsWith('/') ? name.slice(0, -1) : name
}

/** The name of an image for operators. */
export function shownName(directory: string | null, name: string): string {
  return directory === null ? name : `${directory}/${name}`
}

export function noImage(name: string): CacheError {
  return new CacheError('not-found', `there is no image ${JSON.stringify(name)}: "parentfs images" names them`)
}
