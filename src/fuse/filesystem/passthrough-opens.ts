/**
 * Passthrough opens: those that the kernel reads for by itself, by node: their backing files, handles and counts.
 *
 * All opens of one node share one backing id, which is closed with the last. A node that could not be opened so is
 * stale, and the name is looked up again: for a while the image is not to be told by such a node.
 */
import { randomBytes } from 'node:crypto'
import type { Image } from '../../base/image.ts'
import type { KnownImage } from './backend.ts'
import { FsError } from './fs-error.ts'
import { passthroughRetryMs } from './limits.ts'

/** The bit of a handle of opens whose reads come to us. */
const servedBit = 1n

/** The handle beside it, of opens that the kernel reads for. */
function passedHandle(handle: bigint): bigint {
  return BigInt.asUintN(64, handle & ~servedBit) | (1n << 63n)
}

/** Questions to the kernel. */
export interface BackingFiles<File> {
  /** It reads for opens with O_DIRECT too. */
  readonly readsDirect: boolean
  /** @throws SystemError */
  openBacking(file: File): number
  /** @throws SystemError */
  closeBacking(id: number): void
}

/** An open that was answered by passthrough. */
export interface OpenedByPassthrough {
  /** With bit 63 set: no image has that in its own id. Opens of one kind and one image share it. */
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
  opens: number
}

export class PassthroughOpens<File> {
  readonly #kernel: BackingFiles<File>
  readonly #onEnd: (image: Image) => void
  readonly #now: () => number
  readonly #nodes = new Map<bigint, OpenNode>()
  /** By {@link OpenNode.handle}. */
  readonly #handles = new Map<bigint, OpenNode>()
  /** Random, so that a handle of an earlier process on the same mount is none of ours. */
  #nextHandle = passedHandle(randomBytes(8).readBigUInt64LE())
  /** Images that could not be opened so, and until when they are not offered. */
  readonly #notBeforeMs = new Map<string, number>()

  /** @param onEnd called once for each open. @param now milliseconds, never going back */
  constructor(kernel: BackingFiles<File>, onEnd: (image: Image) => void, now: () => number) {
    this.#kernel = kernel
    this.#onEnd = onEnd
    this.#now = now
  }

  /**
   * Count one open of a node; the first has the kernel take the file.
   * @param isDirect it has O_DIRECT
   * @throws SystemError nothing is open then
   */
  open({ image, nodeId }: KnownImage, isDirect: boolean, file: File): OpenedByPassthrough {
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
    this.#onEnd(node.image)
    return true
  }

  /** End every open. Backing ids stay: a reader that has been answered may not have come to take its own yet. */
  close(): void {
    for (const node of this.#nodes.values()) {
      this.#forget(node)
      for (; node.opens > 0; node.opens--) this.#onEnd(node.image)
    }
  }

  /** The lookup that follows must give the image's own node: the kernel asks once only. */
  refuse(image: Image): FsError {
    this.#notBeforeMs.set(image.id, this.#now() + passthroughRetryMs)
    return new FsError('stale-node', `${image.key} cannot be opened by passthrough now`)
  }

  isRefused({ id }: Image): boolean {
    const notBeforeMs = this.#notBeforeMs.get(id)
    if (notBeforeMs === undefined) return false
    if (this.#now() < notBeforeMs) return true
    this.#notBeforeMs.delete(id)
    return false
  }

  #begin(image: Image, nodeId: bigint, file: File): OpenNode {
    const node = { image, nodeId, backingId: this.#kernel.openBacking(file), handle: this.#nextHandle, opens: 0 }
    this.#nextHandle = passedHandle(node.handle + servedBit + 1n)
    this.#nodes.set(nodeId, node)
    this.#handles.set(node.handle, node)
    return node
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
}
