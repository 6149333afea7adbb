/**
 * Directory tree: the directories that the keys of a hierarchical origin make, and the names in each.
 *
 * It is made of the origin's listing, whole, when a directory is looked up or read; a later listing makes another one.
 * A key that is also a directory of other keys cannot be shown beside it: the directory is shown, and the log says so.
 */

import { TimeSlice } from '../../async/time-slice.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Origin, ReadOptions } from '../../origin/contract/origin.ts'
import type { Catalog } from './catalog.ts'

/** A name in a directory. */
export interface TreeEntry {
  readonly name: string
  readonly isDirectory: boolean
}

/** The entries of each directory, by its prefix: empty for the topmost, else it ends in a slash. */
export type DirectoryTree = ReadonlyMap<string, readonly TreeEntry[]>

/** The tree of these keys, and the keys that cannot be shown. */
export async function directoryTreeOf(keys: readonly string[]) {
  const tree = new Map<string, TreeEntry[]>([['', []]])
  const turns = new TimeSlice()
  for (const key of keys) {
    if (turns.isOver) await turns.yield()
    directoryOf(tree, key).push({ name: key.slice(key.lastIndexOf('/') + 1), isDirectory: false })
  }
  const hidden: string[] = []
  for (const [prefix, entries] of tree) {
    if (turns.isOver) await turns.yield()
    const isHidden = ({ name, isDirectory }: TreeEntry) => !isDirectory && tree.has(`${prefix}${name}/`)
    const shown = entries.filter(entry => !isHidden(entry))
    if (shown.length === entries.length) continue
    hidden.push(...entries.filter(isHidden).map(({ name }) => prefix + name))
    tree.set(prefix, shown)
  }
  return { tree: tree as DirectoryTree, hidden }
}

/** The entries of the directory that holds a key; it and those above are made where they are not there. */
function directoryOf(tree: Map<string, TreeEntry[]>, key: string): TreeEntry[] {
  const prefix = key.slice(0, key.lastIndexOf('/') + 1)
  const known = tree.get(prefix)
  if (known) return known
  const entries: TreeEntry[] = []
  tree.set(prefix, entries)
  const path = prefix.slice(0, -1)
  directoryOf(tree, path).push({ name: path.slice(path.lastIndexOf('/') + 1), isDirectory: true })
  return entries
}

export interface DirectoryTreesOptions {
  readonly catalog: Pick<Catalog, 'list' | 'recordedList'>
  readonly logger: Logger
}

interface Grown {
  readonly keys: readonly string[]
  readonly tree: DirectoryTree
}

export class DirectoryTrees {
  readonly #options: DirectoryTreesOptions
  /** By the origin's URL. */
  readonly #trees = new Map<string, Grown>()

  constructor(options: DirectoryTreesOptions) {
    this.#options = options
  }

  /** The tree of the last listing that was recorded: directories that an earlier process showed are known again. */
  async load(origin: Origin, signal: CancelSignal): Promise<void> {
    const keys = await this.#options.catalog.recordedList(origin, signal)
    if (keys) await this.#grow(origin, keys)
  }

  /** The directories of an origin that are known, by prefix, but for the topmost. */
  *known({ url }: Pick<Origin, 'url'>): Iterable<string> {
    for (const prefix of this.#trees.get(url)?.tree.keys() ?? []) if (prefix !== '') yield prefix
  }

  /** Is this the prefix of a directory, as far as is known? */
  knows({ url }: Origin, prefix: string): boolean {
    return this.#trees.get(url)?.tree.has(prefix) === true
  }

  /** Is it one now? @throws CacheError as {@link Catalog.list} */
  async has(origin: Origin, prefix: string, options: ReadOptions): Promise<boolean> {
    try {
      return (await this.#now(origin, options)).has(prefix)
    } catch (error) {
      // A reader of images that may not list them finds those alone.
      if (isCacheError(error, 'access-denied')) return false
      throw error
    }
  }

  /**
   * The entries of a directory now; none where it is gone.
   * @throws CacheError as {@link Catalog.list}
   */
  async list(origin: Origin, prefix: string, options: ReadOptions): Promise<readonly TreeEntry[]> {
    return (await this.#now(origin, options)).get(prefix) ?? []
  }

  async #now(origin: Origin, options: ReadOptions): Promise<DirectoryTree> {
    return await this.#grow(origin, await this.#options.catalog.list(origin, options))
  }

  /** The same keys have the same tree. */
  async #grow({ url }: Origin, keys: readonly string[]): Promise<DirectoryTree> {
    const before = this.#trees.get(url)
    if (before?.keys === keys) return before.tree
    const { tree, hidden } = await directoryTreeOf(keys)
    if (hidden.length > 0) {
      const facts = { origin: url, images: hidden.length, first: hidden[0] }
      this.#options.logger.warn(facts, 'the directory of a name hides the image of that name')
    }
    this.#trees.set(url, { keys, tree })
    return tree
  }
}
