/**
 * Opens by passthrough: the kernel reads a data file by itself, and asks us nothing.
 *
 * The kernel's rules decide all of this. On one node, opens by passthrough and cached ones do not go together, and
 * neither do two backing files: an open that mixes them is EIO. So an image has a second node for these opens, on which
 * there are no others. An open of it that cannot be one is stale, and the kernel looks the name up again. All of them
 * share one backing id, which is closed with the last.
 *
 * An open with O_DIRECT is one of them, but its reads come to us (FOPEN_DIRECT_IO beside FOPEN_PASSTHROUGH): from the
 * page cache that all readers share, at any offset. Read by the kernel they would go to the disk, each one, and need
 * its alignment. Source: Linux fs/fuse/iomode.c (FOPEN_PASSTHROUGH_MASK), file.c (fuse_file_read_iter), passthrough.c
 * (6.9 and newer).
 */
import { randomBytes } from 'node:crypto'
import { messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { StoreFile } from '../../native/addon.ts'
import type { KnownImage } from './backend.ts'
import { FsError } from './fs-error.ts'
import { passthroughRetryMs } from './limits.ts'

/** The bit that makes the node id for passthrough of an image's own: those of images have 62 bits. */
const passthroughBit = 1n << 62n

/** The node id for opens by passthrough. */
export function passthroughNodeId(nodeId: bigint): bigint {
  return nodeId | passthroughBit
}

/** The image's own node id, of either. */
export function ownNodeId(nodeId: bigint): bigint {
  return nodeId & ~passthroughBit
}

export function isPassthroughNode(nodeId: bigint): boolean {
  return (nodeId & passthroughBit) !== 0n
}

/** The bit of a handle of opens whose reads come to us. */
const servedBit = 1n

/** The handle beside it, of opens that the kernel reads for. */
function passedHandle(handle: bigint): bigint {
  return BigInt.asUintN(64, handle & ~servedBit) | (1n << 63n)
}

/** Says which images may be opened so, and holds their data files. */
export interface PassthroughBackend {
  offers(image: Image): boolean
  /** Hold the data file for one open; null when it may not be given. */
  begin(image: Image): StoreFile | null
  end(image: Image): void
}

/** Questions to the kernel. */
export interface PassthroughKernel {
  /** Why it reads nothing by itself; null when it does. */
  readonly off: () => string | null
  /** It reads for opens with O_DIRECT too. */
  readonly readsDirect: boolean
  /** @throws SystemError */
  openBacking(file: StoreFile): number
  /** @throws SystemError */
  closeBacking(id: number): void
}

/** An open that was answered by passthrough. */
export interface OpenedByPassthrough {
  /** With bit 63 set: no node has that. Opens of one kind and one image share it. */
  readonly handle: bigint
  readonly backingId: number
  /** Its reads come to us. */
  readonly isServed: boolean
}

interface OpenNode {
  readonly image: Image
  readonly nodeId: bigint
  readonly backingId: number
  /** The handle of opens that the kernel reads for. */
  readonly handle: bigint
  /** Each holds the data file once. */
  opens: number
}

export class Passthrough {
  readonly #backend: PassthroughBackend
  readonly #kernel: PassthroughKernel
  readonly #logger: Logger
  readonly #now: () => number
  readonly #nodes = new Map<bigint, OpenNode>()
  /** By {@link OpenNode.handle}. */
  readonly #handles = new Map<bigint, OpenNode>()
  /** Random, so that a handle of an earlier process on the same mount is none of ours. */
  #nextHandle = passedHandle(randomBytes(8).readBigUInt64LE())
  /** Images that could not be opened so, and until when they are not offered. */
  readonly #notBeforeMs = new Map<string, number>()
  #failure: string | null = null

  /** @param now milliseconds, never going back */
  constructor(backend: PassthroughBackend, kernel: PassthroughKernel, logger: Logger, now: () => number) {
    this.#backend = backend
    this.#kernel = kernel
    this.#logger = logger
    this.#now = now
  }

  /** Why nothing is opened so; null when what may be is. */
  get off(): string | null {
    return this.#failure ?? this.#kernel.off()
  }

  /** The node that the kernel is to be told of for this image. */
  choose(known: KnownImage): KnownImage {
    if (this.off !== null || this.#isRefused(known.image) || !this.#backend.offers(known.image)) return known
    return { image: known.image, nodeId: passthroughNodeId(known.nodeId) }
  }

  /**
   * @param isDirect it has O_DIRECT
   * @throws Refusal stale-node: the name has to be looked up again
   */
  open({ image, nodeId }: KnownImage, isDirect: boolean): OpenedByPassthrough {
    const file = this.off === null ? this.#backend.begin(image) : null
    if (!file) throw this.#refusal(image)
    const node = this.#nodes.get(nodeId) ?? this.#begin(image, nodeId, file)
    node.opens++
    const isServed = isDirect && !this.#kernel.readsDirect
    return { handle: isServed ? node.handle | servedBit : node.handle, backingId: node.backingId, isServed }
  }

  /** The ids of images that are open so. */
  *ids(): Iterable<string> {
    for (const { image } of this.#nodes.values()) yield image.id
  }

  isOpen(nodeId: bigint): boolean {
    return this.#nodes.has(nodeId)
  }

  /** @returns whether it was one of these opens */
  release(handle: bigint): boolean {
    const node = this.#handles.get(passedHandle(handle))
    if (!node) return false
    if (--node.opens === 0) {
      this.#forget(node)
      this.#closeBacking(node)
    }
    this.#backend.end(node.image)
    return true
  }

  /** End every open. Backing ids stay: a reader that has been answered may not have come to take its own yet. */
  close(): void {
    for (const node of this.#nodes.values()) {
      this.#forget(node)
      for (; node.opens > 0; node.opens--) this.#backend.end(node.image)
    }
  }

  #begin(image: Image, nodeId: bigint, file: StoreFile): OpenNode {
    try {
      const node = { image, nodeId, backingId: this.#kernel.openBacking(file), handle: this.#nextHandle, opens: 0 }
      this.#nextHandle = passedHandle(node.handle + servedBit + 1n)
      this.#nodes.set(nodeId, node)
      this.#handles.set(node.handle, node)
      return node
    } catch (error) {
      this.#backend.end(image)
      // None will ever be: not allowed, or a file system that lies on another one.
      this.#failure = messageOf(error)
      this.#logger.warn({ err: error }, 'the kernel does not read complete images by itself; their reads come to us')
      throw this.#refusal(image)
    }
  }

  #forget({ nodeId, handle }: OpenNode): void {
    this.#nodes.delete(nodeId)
    this.#handles.delete(handle)
  }

  #closeBacking({ backingId }: OpenNode): void {
    try {
      this.#kernel.closeBacking(backingId)
    } catch {
      // The session is over, and the kernel closes it with the connection.
    }
  }

  /** The lookup that follows must give the other node: the kernel asks once only. */
  #refusal(image: Image): FsError {
    this.#notBeforeMs.set(image.id, this.#now() + passthroughRetryMs)
    return new FsError('stale-node', `${image.key} cannot be opened by passthrough now`)
  }

  #isRefused({ id }: Image): boolean {
    const notBeforeMs = this.#notBeforeMs.get(id)
    if (notBeforeMs === undefined) return false
    if (this.#now() < notBeforeMs) return true
    this.#notBeforeMs.delete(id)
    return false
  }
}
