/**
 * Node ids and their meaning.
 *
 * A node id means the same for ever: 1 is the root, a directory has an id made of its path, and an image has the id
 * that the backend gave it. The table here only saves asking; a node that the kernel forgot, or that
 * an earlier process handed out, is found again by asking the backend.
 */
import {
  type Backend,
  type DirectoryPath,
  directoryNodeId,
  isNestedNode,
  type KnownImage,
  nestedNodeId,
  reservedNodeIds,
} from './backend.ts'
import { FsError } from './fs-error.ts'
import { ownNodeId } from './passthrough.ts'

/** The node id of the root. Source: Linux include/uapi/linux/fuse.h, FUSE_ROOT_ID. */
export const rootNodeId = 1n

export interface DirectoryNode {
  readonly kind: 'directory'
  readonly nodeId: bigint
  /** The root of several origins holds their directories in place of images. */
  readonly place: DirectoryPath
}

export interface ImageNode {
  readonly kind: 'image'
  readonly known: KnownImage
}

/** A node with the lookups that the kernel has not yet taken back. */
interface Remembered<Node> {
  readonly node: Node
  lookups: number
}

type NodesBackend = Pick<Backend, 'directories' | 'imageOf' | 'nestedDirectories'>

export class Nodes {
  readonly #backend: NodesBackend
  readonly #images = new Map<bigint, Remembered<ImageNode>>()
  /** Those below the directories of origins. */
  readonly #nested = new Map<bigint, Remembered<DirectoryNode>>()

  constructor(backend: NodesBackend) {
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
    if (isNestedNode(nodeId)) return this.#nestedDirectory(nodeId)
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
    return isThere ? originDirectory(name) : null
  }

  /** The directories of the root; null when the root itself holds the images. */
  directories(): readonly DirectoryNode[] | null {
    return this.#backend.directories?.map(originDirectory) ?? null
  }

  /** The id that the directory at a path has, or had. */
  static idAt(place: DirectoryPath): bigint {
    if (place.prefix !== '') return nestedNodeId(place)
    return place.directory === null ? rootNodeId : directoryNodeId(place.directory)
  }

  /** The node of a directory at a path, or null where the path is that of an origin that is not there. */
  directoryAt(place: DirectoryPath): DirectoryNode | null {
    if (place.prefix !== '') return { kind: 'directory', nodeId: nestedNodeId(place), place }
    return place.directory === null ? root : this.directoryNamed(place.directory)
  }

  /** Count one lookup of a directory below that of an origin. */
  rememberNested(place: DirectoryPath): DirectoryNode {
    const node: DirectoryNode = { kind: 'directory', nodeId: nestedNodeId(place), place }
    const remembered = this.#nested.get(node.nodeId)
    if (remembered) remembered.lookups++
    else this.#nested.set(node.nodeId, { node, lookups: 1 })
    return node
  }

  /** Count one lookup of an image that the kernel is about to be told of. */
  remember(known: KnownImage): void {
    const { nodeId } = known
    if (nodeId <= reservedNodeIds || isNestedNode(nodeId)) throw new Error(`node id ${nodeId} is not one for an image`)
    const remembered = this.#images.get(nodeId)
    if (remembered) remembered.lookups++
    else this.#images.set(nodeId, { node: { kind: 'image', known }, lookups: 1 })
  }

  /** The kernel takes back so many lookups. More than it ever made frees the memory too, and harms nothing. */
  forget(nodeId: bigint, lookups: number): void {
    const nodes: Map<bigint, { lookups: number }> = isNestedNode(nodeId) ? this.#nested : this.#images
    const remembered = nodes.get(nodeId)
    if (!remembered) return
    remembered.lookups -= lookups
    if (remembered.lookups <= 0) nodes.delete(nodeId)
  }

  #directory(nodeId: bigint): DirectoryNode {
    if (nodeId === rootNodeId) return root
    const name = this.#backend.directories?.find(candidate => directoryNodeId(candidate) === nodeId)
    if (name === undefined) throw new FsError('stale-node', `no directory has node id ${nodeId}`)
    return originDirectory(name)
  }

  #nestedDirectory(nodeId: bigint): DirectoryNode {
    const remembered = this.#nested.get(nodeId)
    if (remembered) return remembered.node
    // A process before this one handed it out.
    for (const place of this.#backend.nestedDirectories()) {
      if (nestedNodeId(place) === nodeId) return { kind: 'directory', nodeId, place }
    }
    throw new FsError('stale-node', `no directory has node id ${nodeId}`)
  }
}

const root: DirectoryNode = { kind: 'directory', nodeId: rootNodeId, place: { directory: null, prefix: '' } }

function originDirectory(name: string): DirectoryNode {
  return { kind: 'directory', nodeId: directoryNodeId(name), place: { directory: name, prefix: '' } }
}

/** The path of the directory that holds this one; that of the root's own images for the topmost. */
export function enclosingDirectory({ directory, prefix }: DirectoryPath): DirectoryPath {
  const end = prefix.lastIndexOf('/', prefix.length - 2)
  return prefix === '' ? { directory: null, prefix: '' } : { directory, prefix: prefix.slice(0, end + 1) }
}
