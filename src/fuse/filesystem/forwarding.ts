/**
 * Forwarded opens: the kernel reads the origin's own file by itself, and asks neither us nor the cache.
 *
 * The kernel's rules are those of passthrough.ts: an image has a third node for these opens. After a takeover an image
 * is forwarded again once the kernel has forgotten the node: see forgotten-nodes.ts.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { KnownImage } from './backend.ts'
import { ForgottenNodes } from './forgotten-nodes.ts'
import { FsError } from './fs-error.ts'
import { forwardedNodeId } from './passthrough.ts'
import { type BackingFiles, type OpenedByPassthrough, PassthroughOpens } from './passthrough-opens.ts'

/** A file of an origin that is open; the kernel holds it by itself. */
export interface ForwardedFile {
  readonly fd: number
  close(): Promise<void>
}

/** Says which images are forwarded, and opens their files. */
export interface ForwardingBackend {
  /** Would an open be given the origin's file? */
  offers(image: Image): boolean
  /**
   * Begin one open; null when the file may not be given.
   * @throws CacheError as a lookup of the image
   */
  begin(image: Image, options: { readonly signal: CancelSignal }): Promise<ForwardedFile | null>
  end(image: Image): void
}

export interface ForwardingKernel extends BackingFiles<number> {
  /** Why it reads nothing by itself; null when it does. */
  readonly off: () => string | null
  /** It may know nodes of an earlier process. */
  readonly isTakenOver: boolean
  /** Has it forgotten a node? Never rejects. */
  hasForgotten(nodeId: bigint): Promise<boolean>
}

export class Forwarding {
  readonly #backend: ForwardingBackend
  readonly #kernel: ForwardingKernel
  readonly #logger: Logger
  readonly #opens: PassthroughOpens<number>
  readonly #forgotten: ForgottenNodes
  #isClosed = false

  /** @param now milliseconds, never going back */
  constructor(backend: ForwardingBackend, kernel: ForwardingKernel, logger: Logger, now: () => number) {
    this.#backend = backend
    this.#kernel = kernel
    this.#logger = logger
    this.#opens = new PassthroughOpens(kernel, image => backend.end(image), now)
    this.#forgotten = new ForgottenNodes(nodeId => kernel.hasForgotten(nodeId))
  }

  /** The node that the kernel is to be told of; null: not one of these. */
  choose({ image, nodeId }: KnownImage): KnownImage | null {
    const isOffered = this.#kernel.off() === null && !this.#opens.isRefused(image) && this.#backend.offers(image)
    if (!isOffered || !this.#isOurs(forwardedNodeId(nodeId))) return null
    return { image, nodeId: forwardedNodeId(nodeId) }
  }

  /** @throws FsError stale-node: the name has to be looked up again */
  async open(known: KnownImage, isDirect: boolean, signal: CancelSignal): Promise<OpenedByPassthrough> {
    const { image, nodeId } = known
    const isOurs = this.#kernel.off() === null && this.#isOurs(nodeId)
    const file = isOurs ? await this.#begin(image, signal) : null
    if (!file) throw this.#opens.refuse(image)
    try {
      if (this.#isClosed) throw new FsError('stale-node', `${image.key}: another worker is about to serve`)
      return this.#opens.open(known, isDirect, file.fd)
    } catch (error) {
      this.#backend.end(image)
      if (error instanceof FsError) throw error
      this.#logger.warn({ key: image.key, err: error }, 'the kernel does not read this file of an origin by itself')
      throw this.#opens.refuse(image)
    } finally {
      void file.close().catch(() => {}) // It was opened for the kernel alone.
    }
  }

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
    this.#isClosed = true
    this.#opens.close()
  }

  /** A file that cannot be had, of a version that has gone perhaps, makes the name be looked up again. */
  async #begin(image: Image, signal: CancelSignal): Promise<ForwardedFile | null> {
    try {
      return await this.#backend.begin(image, { signal })
    } catch (error) {
      if (isCacheError(error, 'aborted')) throw error
      this.#logger.debug({ key: image.key, err: error }, 'a file of an origin cannot be opened for the kernel')
      return null
    }
  }

  /** Is every open of this node ours? */
  #isOurs(nodeId: bigint): boolean {
    return !this.#kernel.isTakenOver || this.#opens.isOpen(nodeId) || this.#forgotten.has(nodeId)
  }
}
