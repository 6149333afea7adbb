/**
 * Known images, of all versions: by id, by node id, and in the order of their last use by a lookup, an open or a line
 * of a listing.
 */
import { LruMap } from '../../base/lru-map.ts'
import type { ImageEntry } from '../../index/index-database.ts'

/** An image, and a number that is another one after each use of it. */
export interface TrackedImage {
  readonly entry: ImageEntry
  readonly use: number
}

export class KnownImages {
  /** Bounded by the catalog. */
  readonly #byId = new LruMap<string, TrackedImage>(Number.POSITIVE_INFINITY)
  readonly #byNode = new Map<bigint, ImageEntry>()
  readonly #reservedNodeIds: bigint
  #uses = 0

  /** @param reservedNodeIds node ids up to this one belong to directories */
  constructor(reservedNodeIds: bigint) {
    this.#reservedNodeIds = reservedNodeIds
  }

  get size(): number {
    return this.#byId.size
  }

  ids(): string[] {
    return [...this.#byId.keys()]
  }

  /** All known images, the longest unused first. One that is used during a walk comes again at its end. */
  all(): Iterable<TrackedImage> {
    return this.#byId.values()
  }

  find(imageId: string): ImageEntry | null {
    return this.#byId.get(imageId)?.entry ?? null
  }

  ofNode(nodeId: bigint): ImageEntry | null {
    return this.#byNode.get(nodeId) ?? null
  }

  /** Is it unused since, and still known? */
  isUnusedSince({ entry, use }: TrackedImage): boolean {
    return this.#byId.get(entry.image.id)?.use === use
  }

  /** It is used now. An image that is not known stays so. */
  use(imageId: string): void {
    const known = this.#byId.get(imageId)
    if (known) this.#byId.set(imageId, { entry: known.entry, use: ++this.#uses })
  }

  remember(entry: ImageEntry): void {
    this.#byId.set(entry.image.id, { entry, use: ++this.#uses })
    this.#byNode.set(entry.nodeId, entry)
  }

  forget({ image, nodeId }: ImageEntry): void {
    this.#byId.delete(image.id)
    this.#byNode.delete(nodeId)
  }

  /** The node id for an image that is new: 62 bits of its id; the next free one where another image already has it. */
  nodeIdFor(imageId: string): bigint {
    let nodeId = BigInt(`0x${imageId.slice(0, 16)}`) >> 2n
    while (nodeId <= this.#reservedNodeIds || this.#byNode.has(nodeId)) nodeId++
    return nodeId
  }
}
