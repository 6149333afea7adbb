/**
 * Listings of images by directory, as the filesystem shows them: flat ones, and those of origins with directories.
 *
 * Entries are made when they are read: there may be a million, and all listings share their names.
 */
import type { Origin, ReadOptions } from '../origin/contract/origin.ts'
import type { Catalog } from './names/catalog.ts'
import type { DirectoryTrees } from './names/directory-tree.ts'

export interface ImageListingsContext {
  readonly catalog: Catalog
  readonly trees: DirectoryTrees
}

export class ImageListings {
  readonly #catalog: Catalog
  readonly #trees: DirectoryTrees

  constructor({ catalog, trees }: ImageListingsContext) {
    this.#catalog = catalog
    this.#trees = trees
  }

  /** @throws CacheError not-found, access-denied, origin-*, aborted */
  async list(origin: Origin, prefix: string, options: ReadOptions) {
    if (origin.isHierarchical) return this.#listNested(origin, prefix, options)
    const names = await this.#catalog.list(origin, options)
    const imageOf = (name: string) => this.#catalog.imageShown(origin, name)
    return {
      length: names.length,
      names,
      at(index: number) {
        const name = names[index]
        return name === undefined ? undefined : { name, image: imageOf(name) }
      },
    }
  }

  async #listNested(origin: Origin, prefix: string, options: ReadOptions) {
    const entries = await this.#trees.list(origin, prefix, options)
    return {
      length: entries.length,
      names: entries,
      at: (index: number) => {
        const entry = entries[index]
        const shown = () => (entry!.isDirectory ? null : this.#catalog.imageShown(origin, prefix + entry!.name))
        return entry && { ...entry, image: shown() }
      },
    }
  }
}
