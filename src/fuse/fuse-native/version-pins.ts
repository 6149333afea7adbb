/**
 * Version pins: the version of each name that the kernel was told last.
 *
 * libfuse 2 has one node for a name, whatever is behind it: the kernel keeps one size and one set of pages for all its
 * openers. So that no two versions of an image meet there, a name stays with its version while it is open. An open gets
 * the version whose attributes were told last, which the kernel asks for right before. When it has changed, the first
 * question is answered "stale": the kernel asks again, and attributes that were on their way meanwhile count as old.
 *
 * Source: Linux fs/fuse/dir.c, fuse_permission (attributes that are not valid any more are asked for), fs/namei.c,
 * retry_estale, fs/fuse/inode.c, fuse_change_attributes.
 */
import { LruMap } from '../../base/lru-map.ts'
import { type Attributes, isDirectory } from '../filesystem/attributes.ts'
import type { BackendOptions } from '../filesystem/backend.ts'
import type { FileSystem } from '../filesystem/file-system.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { rootNodeId } from '../filesystem/nodes.ts'

interface PinnedName {
  readonly nodeId: bigint
  opens: number
}

export class VersionPins {
  readonly #fileSystem: FileSystem
  /** Images only, by path, used when they are told. One lookup of each node is counted. */
  readonly #pins: LruMap<string, PinnedName>

  /** @param namesMax names that are not open are forgotten above it */
  constructor(fileSystem: FileSystem, namesMax: number) {
    this.#fileSystem = fileSystem
    this.#pins = new LruMap(namesMax, {
      mayLeave: ({ opens }) => opens === 0,
      onLeave: ({ nodeId }) => fileSystem.forget(nodeId, 1),
    })
  }

  get count(): number {
    return this.#pins.size
  }

  /**
   * The attributes of a path, which are told now.
   * @throws Refusal stale-node when the version is another than was told last; whatever FileSystem.lookup throws
   */
  async tell(path: string, options: BackendOptions): Promise<Attributes> {
    const pinned = this.#pinned(path)
    if (pinned) return pinned
    const attributes = await this.#lookup(path, options)
    if (isDirectory(attributes)) return attributes
    const before = this.#pins.get(path)
    if (before?.nodeId === attributes.nodeId || this.#pinned(path)) {
      this.#fileSystem.forget(attributes.nodeId, 1)
      return this.#pinned(path) ?? attributes
    }
    if (before) this.#fileSystem.forget(before.nodeId, 1)
    this.#pins.set(path, { nodeId: attributes.nodeId, opens: 0 })
    if (before) throw new FsError('stale-node', `${path} is another version now`)
    return attributes
  }

  /**
   * Open the version that was told last, and keep the name with it.
   * @returns its node id, for `release`
   * @throws whatever `tell` and FileSystem.open throw
   */
  async open(path: string, flags: number, options: BackendOptions): Promise<bigint> {
    if (!this.#pins.has(path)) await this.tell(path, options)
    const told = this.#pins.get(path)
    if (!told) throw new FsError('is-a-directory')
    told.opens++
    try {
      return (await this.#fileSystem.open(told.nodeId, flags, options)).handle
    } catch (error) {
      told.opens--
      throw error
    }
  }

  /** End one open. */
  release(path: string, nodeId: bigint): void {
    this.#fileSystem.release(nodeId)
    const told = this.#pins.get(path)
    if (told) told.opens--
  }

  /** Forget a name that means nothing any more, unless it is open. */
  drop(path: string): void {
    const told = this.#pins.get(path)
    if (!told || told.opens > 0) return
    this.#pins.delete(path)
    this.#fileSystem.forget(told.nodeId, 1)
  }

  #pinned(path: string): Attributes | null {
    const told = this.#pins.get(path)
    return told && told.opens > 0 ? this.#fileSystem.attributes(told.nodeId) : null
  }

  /** Counts a lookup where it is an image. */
  async #lookup(path: string, options: BackendOptions): Promise<Attributes> {
    let attributes = this.#fileSystem.attributes(rootNodeId)
    for (const name of path.split('/').filter(name => name !== '')) {
      attributes = await this.#fileSystem.lookup(attributes.nodeId, name, options)
    }
    return attributes
  }
}
