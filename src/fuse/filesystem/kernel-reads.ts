/**
 * Kernel reads: the two ways in which the kernel reads an image by itself, from our data file or from the origin's own
 * file, as one.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { KnownImage } from './backend.ts'
import type { Forwarding } from './forwarding.ts'
import { FsError } from './fs-error.ts'
import {
  forwardedNodeId,
  isForwardedNode,
  isPassthroughNode,
  type Passthrough,
  passthroughNodeId,
} from './passthrough.ts'
import type { OpenedByPassthrough } from './passthrough-opens.ts'

export class KernelReads {
  readonly #passthrough: Passthrough | null
  readonly #forwarding: Forwarding | null

  /** Null where the transport has none. */
  constructor(passthrough: Passthrough | null, forwarding: Forwarding | null) {
    this.#passthrough = passthrough
    this.#forwarding = forwarding
  }

  /** All nodes of an image but its own. */
  static nodesOf(nodeId: bigint): readonly bigint[] {
    return [passthroughNodeId(nodeId), forwardedNodeId(nodeId)]
  }

  /** Is it a node for opens that the kernel reads for? */
  static has(nodeId: bigint): boolean {
    return isPassthroughNode(nodeId) || isForwardedNode(nodeId)
  }

  /** The node that the kernel is to be told of for an image: its own where it reads nothing by itself. */
  choose(known: KnownImage): KnownImage {
    return this.#forwarding?.choose(known) ?? this.#passthrough?.choose(known) ?? known
  }

  /**
   * @param isDirect it has O_DIRECT
   * @throws FsError stale-node: the name has to be looked up again
   */
  async open(known: KnownImage, isDirect: boolean, signal: CancelSignal): Promise<OpenedByPassthrough> {
    if (isForwardedNode(known.nodeId) && this.#forwarding) return this.#forwarding.open(known, isDirect, signal)
    if (isPassthroughNode(known.nodeId) && this.#passthrough) return this.#passthrough.open(known, isDirect)
    throw new FsError('stale-node')
  }

  release(handle: bigint): void {
    if (!this.#passthrough?.release(handle)) this.#forwarding?.release(handle)
  }

  /** @param nodeId the image's own */
  isOpen(nodeId: bigint): boolean {
    const passed = this.#passthrough?.isOpen(passthroughNodeId(nodeId)) ?? false
    return passed || (this.#forwarding?.isOpen(forwardedNodeId(nodeId)) ?? false)
  }

  /** The ids of images that are open so. */
  *ids(): Iterable<string> {
    if (this.#passthrough) yield* this.#passthrough.ids()
    if (this.#forwarding) yield* this.#forwarding.ids()
  }

  /** End every open. */
  close(): void {
    this.#passthrough?.close()
    this.#forwarding?.close()
  }
}
