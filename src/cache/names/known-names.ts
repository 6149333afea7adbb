/** Known names: the images of names and node ids as far as the catalog knows; no origin is asked. */
import type { ImageEntry } from '../../index/index-database.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { Catalog } from './catalog.ts'

export class KnownNames {
  readonly #catalog: Pick<Catalog, 'imageOfName' | 'byUse'>
  readonly #originIn: (directory: string | null) => Origin

  constructor(catalog: Pick<Catalog, 'imageOfName' | 'byUse'>, originIn: (directory: string | null) => Origin) {
    this.#catalog = catalog
    this.#originIn = originIn
  }

  /** The image of a key. */
  imageOfName(directory: string | null, key: string): ImageEntry | null {
    return this.#catalog.imageOfName(this.#originIn(directory), key)
  }

  /** The image whose node id holds; it looks at all of them. */
  imageWhere(holds: (nodeId: bigint) => boolean): ImageEntry | null {
    for (const { entry } of this.#catalog.byUse()) if (holds(entry.nodeId)) return entry
    return null
  }
}
