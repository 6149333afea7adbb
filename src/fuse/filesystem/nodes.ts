/**
 * Node ids and their meaning.
 *
 * A node id means the same for ever: 1 is the root, a directory of several origins has an id made of its name, and an
 * image has the id that the backend gave it. The table here only saves asking; a node that the kernel forgot, or that
 * an earlier process handed out, is found again by asking the backend.
 */
import { type Backend, directoryNodeId, type KnownImage, reservedNodeIds } from './backend.ts'
import { FsError } from './fs-error.ts'
import { ownNodeId } from './passthrough.ts'

/** The node id of the root. Source: Linux include/uapi/linux/fuse.h, FUSE_ROOT_ID. */
export const rootNodeId = 1n

export interface DirectoryNode {
  readonly kind: 'directory'
  readonly nodeId: bigint
  /** The directory's name in the root; null for the root itself. */
  readonly name: string | null
}

export interface ImageNode {
  readonly kind: 'image'
  readonly known: KnownImage
}

/** A node with the lookups that the kernel has not yet taken back. */
interface Remembered {
  readonly node: ImageNode
  lookups: number
}

export class Nodes {
  readonly #backend: Pick<Backend, 'directories' | 'imageOf'>
  readonly #images = new Map<bigint, Remembered>()

  constructor(backend: Pick<Backend, 'directories' | 'imageOf'>) {
    this.#backend = backend
  }

  /** Images whose nodes the kernel holds. */
  get count(): number {
    return this.#images.size
  }

  /** Does the kernel hold this image's node, of which it learned here? */
  holds(nodeId: bigint): boolean {
    return this.#images.has(nodeId)
  }

  /** @throws Refusal stale-node */
  get(nodeId: bigint): DirectoryNode | ImageNode {
    const remembered = this.#images.get(nodeId)
    if (remembered) return remembered.node
    if (nodeId <= reservedNodeIds) return this.#directory(nodeId)
    const found = this.#backend.imageOf(ownNodeId(nodeId))
    const known = found && { image: found.image, nodeId }
    if (!known) throw new FsError('stale-node', `no image has node id ${nodeId}`)
    return { kind: 'image', known }
  }

  /** @throws Refusal stale-node, is-a-directory */
  image(nodeId: bigint): KnownImage {
    const node = this.get(nodeId)
    if (node.kind !== 'image') throw new FsError('is-a-directory')
    return node.known
  }

  /** @throws Refusal stale-node, not-a-directory */
  directory(nodeId: bigint): DirectoryNode {
    const node = this.get(nodeId)
    if (node.kind !== 'directory') throw new FsError('not-a-directory')
    return node
  }

  /** The directory of that name in the root, or null. */
  directoryNamed(name: string): DirectoryNode | null {
    const isThere = this.#backend.directories?.includes(name) ?? false
    return isThere ? { kind: 'directory', nodeId: directoryNodeId(name), name } : null
  }

  /** The directories of the root; null when the root itself holds the images. */
  directories(): readonly DirectoryNode[] | null {
    const names = this.#backend.directories
    return names?.map(name => ({ kind: 'directory', nodeId: directoryNodeId(name), name })) ?? null
  }

  /** Count one lookup of an image that the kernel is about to be told of. */
  remember(known: KnownImage): void {
    const { nodeId } = known
    if (nodeId <= reservedNodeIds || nodeId >= 1n << 63n) throw new Error(`node id ${nodeId} is not one for an image`)
    const remembered = this.#images.get(nodeId)
    if (remembered) remembered.lookups++
    else this.#images.set(nodeId, { node: { kind: 'image', known }, lookups: 1 })
  }

  /** The kernel takes back so many lookups. More than it ever made frees the memory too, and harms nothing. */
  forget(nodeId: bigint, lookups: number): void {
    const remembered = this.#images.get(nodeId)
    if (!remembered) return
    remembered.lookups -= lookups
    if (remembered.lookups <= 0) this.#images.delete(nodeId)
  }

  #directory(nodeId: bigint): DirectoryNode {
    if (nodeId === rootNodeId) return { kind: 'directory', nodeId, name: null }
    const name = this.#backend.directories?.find(candidate => directoryNodeId(candidate) === nodeId)
    if (name === undefined) throw new FsError('stale-node', `no directory has node id ${nodeId}`)
    return { kind: 'directory', nodeId, name }
  }
}
