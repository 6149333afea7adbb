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
import { messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { StoreFile } from '../../native/addon.ts'
import type { KnownImage } from './backend.ts'
import { ForgottenNodes } from './forgotten-nodes.ts'
import { type BackingFiles, type OpenedByPassthrough, PassthroughOpens } from './passthrough-opens.ts'

/** The uppermost bits of the three nodes of an image, whose own ids have 62 bits; nested directories have 2. */
const kindBits = 62n
const passthroughKind = 1n
const forwardedKind = 3n

/** The node id for opens by passthrough. */
export function passthroughNodeId(nodeId: bigint): bigint {
  return nodeId | (passthroughKind << kindBits)
}

/** The node id for opens that go to the origin's own file. */
export function forwardedNodeId(nodeId: bigint): bigint {
  return nodeId | (forwardedKind << kindBits)
}

/** The image's own node id, of any of the three. */
export function ownNodeId(nodeId: bigint): bigint {
  return BigInt.asUintN(Number(kindBits), nodeId)
}

export function isPassthroughNode(nodeId: bigint): boolean {
  return nodeId >> kindBits === passthroughKind
}

export function isForwardedNode(nodeId: bigint): boolean {
  return nodeId >> kindBits === forwardedKind
}

/** Says which images may be opened so, and holds their data files. */
export interface PassthroughBackend {
  offers(image: Image): boolean
  /** Hold the data file for one open; null when it may not be given. */
  begin(image: Image): StoreFile | null
  end(image: Image): void
  /** May the kernel read it from a file of the cache directory of before, for opens of an earlier process? */
  isPassedElsewhere(image: Image): boolean
}

/** Questions to the kernel. */
export interface PassthroughKernel extends BackingFiles<StoreFile> {
  /** Why it reads nothing by itself; null when it does. */
  readonly off: () => string | null
  /** Has it forgotten a node? Never rejects. */
  hasForgotten(nodeId: bigint): Promise<boolean>
}

export class Passthrough {
  readonly #backend: PassthroughBackend
  readonly #kernel: PassthroughKernel
  readonly #logger: Logger
  readonly #opens: PassthroughOpens<StoreFile>
  readonly #forgotten: ForgottenNodes
  #failure: string | null = null

  /** @param now milliseconds, never going back */
  constructor(backend: PassthroughBackend, kernel: PassthroughKernel, logger: Logger, now: () => number) {
    this.#backend = backend
    this.#kernel = kernel
    this.#logger = logger
    this.#opens = new PassthroughOpens(kernel, image => backend.end(image), now)
    this.#forgotten = new ForgottenNodes(nodeId => kernel.hasForgotten(nodeId))
  }

  /** Why nothing is opened so; null when what may be is. */
  get off(): string | null {
    return this.#failure ?? this.#kernel.off()
  }

  /** The node that the kernel is to be told of for this image. */
  choose(known: KnownImage): KnownImage {
    if (this.off !== null || this.#opens.isRefused(known.image) || !this.#backend.offers(known.image)) return known
    const passed = { image: known.image, nodeId: passthroughNodeId(known.nodeId) }
    return this.#isOurs(passed) ? passed : known
  }

  /**
   * @param isDirect it has O_DIRECT
   * @throws Refusal stale-node: the name has to be looked up again
   */
  open(known: KnownImage, isDirect: boolean): OpenedByPassthrough {
    const { image } = known
    const file = this.off === null && this.#isOurs(known) ? this.#backend.begin(image) : null
    if (!file) throw this.#opens.refuse(image)
    try {
      return this.#opens.open(known, isDirect, file)
    } catch (error) {
      this.#backend.end(image)
      // None will ever be: not allowed, or a file system that lies on another one.
      this.#failure = messageOf(error)
      this.#logger.warn({ err: error }, 'the kernel does not read complete images by itself; their reads come to us')
      throw this.#opens.refuse(image)
    }
  }

  /** The ids of images that are open so. */
  ids(): Iterable<string> {
    return this.#opens.ids()
  }

  isOpen(nodeId: bigint): boolean {
    return this.#opens.isOpen(nodeId)
  }

  /** @returns whether it was one of these opens */
  release(handle: bigint): boolean {
    return this.#opens.release(handle)
  }

  /** See {@link PassthroughOpens.close}. */
  close(): void {
    this.#opens.close()
  }

  /** Is no file of another cache directory behind an open of this node? On one node, two backing files are EIO. */
  #isOurs({ image, nodeId }: KnownImage): boolean {
    return !this.#backend.isPassedElsewhere(image) || this.#opens.isOpen(nodeId) || this.#forgotten.has(nodeId)
  }
}
