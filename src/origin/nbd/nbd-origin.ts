/**
 * Exports of an NBD server as an origin: `nbd://host/`, or one of them: `nbd://host/export`.
 *
 * NBD knows no versions. An export is served where the operator gives the digest of the whole image, which tells one
 * version from another, or says with `allowMutable` that it never changes. The size tells versions apart as well.
 */
import { abortable } from '../../async/abortable.ts'
import { OpenDescriptors } from '../../async/open-descriptors.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { listingNamesMax, originDescriptorsMax } from '../../base/limits.ts'
import type { Digest } from '../contract/digest.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import { dial } from './dial.ts'
import { nbdConnectionsMax, nbdIdleMs } from './limits.ts'
import { nbdError } from './nbd-errors.ts'
import { NbdExport } from './nbd-export.ts'
import { exportOfImageName, imageNameOfOne, nbdValidatorOf } from './nbd-names.ts'
import type { NbdSocket } from './nbd-socket.ts'
import { type NbdPlace, nbdUrlOf, partsOfNbdUrl } from './nbd-url.ts'
import { describeExport, listImages } from './negotiation.ts'
import { optionMessage, options } from './protocol.ts'
import { type NbdTls, tlsDefault } from './tls-options.ts'

export interface NbdOptions {
  /** Other than in the URL. */
  readonly tls: Partial<NbdTls>
  /** Serve exports without a digest: they must not be written to. */
  readonly allowMutable: boolean
  /** Digests of whole images, by their names. */
  readonly digests: Readonly<Record<string, Digest>>
  /** Requests at once, and so connections to an export. */
  readonly concurrencyMax: number
  /** The time that one call may take, and a connection may be silent. */
  readonly callMsMax: number
  /** The time for which unused connections stay open. */
  readonly idleMs: number
}

const optionsDefault = { tls: {}, allowMutable: false, digests: {}, idleMs: nbdIdleMs }

export class NbdOrigin implements Origin {
  readonly url: string
  readonly #place: NbdPlace
  readonly #options: NbdOptions
  readonly #tls: NbdTls
  readonly #exports = new OpenDescriptors<NbdExport>(originDescriptorsMax)
  #closing: Promise<void> | null = null

  /** @throws CacheError invalid-argument */
  constructor(url: string, options: Pick<NbdOptions, 'concurrencyMax' | 'callMsMax'> & Partial<NbdOptions>) {
    const { place, tls } = partsOfNbdUrl(url)
    this.url = nbdUrlOf(place)
    this.#place = place
    this.#options = { ...optionsDefault, ...options }
    this.#tls = { ...tlsDefault, ...tls, ...this.#options.tls }
  }

  async list({ signal }: ReadOptions): Promise<readonly string[] | null> {
    const { exportName } = this.#place
    if (exportName !== null) {
      await this.#ask(this.url, signal, socket => describeExport(socket, exportName))
      return [imageNameOfOne(exportName)]
    }
    return await this.#ask(this.url, signal, socket => listImages(socket, listingNamesMax + 1))
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<ImageFacts> {
    const exportName = this.#exportOf(key)
    const subject = this.#subject(key)
    if (exportName === null) {
      this.#mustBeOpen()
      throwIfAborted(signal)
      throw new CacheError('not-found', `${this.url}: has no image ${JSON.stringify(key)}`)
    }
    const { sizeBytes } = await this.#ask(subject, signal, socket => describeExport(socket, exportName))
    const digest = this.#digestOf(key)
    if (digest === null && !this.#options.allowMutable) {
      const advice =
        'an export says nothing of its version: give its digest under digests, or set allowMutable if it never changes'
      throw new CacheError('origin-unsupported', `${subject}: ${advice}`)
    }
    const validator = nbdValidatorOf(exportName, sizeBytes, digest)
    return { origin: this.url, key, sizeBytes, validator, modifiedMs: 0 }
  }

  async read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    await this.#use(image, signal, async opened => {
      if (target.length > 0) await opened.read(offset, target, signal)
    })
  }

  async extentAt(image: Image, offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    if (offset >= image.sizeBytes) return null
    return await this.#use(image, signal, opened => opened.extentAt(offset, signal))
  }

  /** The one that was configured: NBD has no place for it. */
  async digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    throwIfAborted(signal)
    this.#mustBeOpen()
    this.#mustBeCurrent(image)
    return this.#digestOf(image.key)
  }

  close(): Promise<void> {
    this.#closing ??= this.#exports.close()
    return this.#closing
  }

  /** Call `work` with the open export of this version. */
  async #use<T>(image: Image, signal: CancelSignal, work: (opened: NbdExport) => Promise<T>): Promise<T> {
    throwIfAborted(signal)
    this.#mustBeOpen()
    try {
      this.#mustBeCurrent(image)
      return await this.#exports.use(image.id, async () => this.#open(image), work)
    } catch (cause) {
      const error = nbdError(this.#subject(image.key), cause)
      const isGone = isCacheError(error, 'not-found', 'image-changed')
      if (isGone) await this.#exports.drop(image.id)
      throw isGone ? this.#changed(image, error) : error
    }
  }

  #open(image: Image): NbdExport {
    const { callMsMax, concurrencyMax, idleMs } = this.#options
    return new NbdExport({
      dial: () => this.#dial(),
      name: this.#exportOf(image.key)!,
      sizeBytes: image.sizeBytes,
      connectionsMax: Math.min(nbdConnectionsMax, concurrencyMax),
      silenceMsMax: callMsMax,
      idleMs,
    })
  }

  /** Ask something on a connection of its own, which is not used for anything else. */
  async #ask<T>(subject: string, signal: CancelSignal, work: (socket: NbdSocket) => Promise<T>): Promise<T> {
    throwIfAborted(signal)
    this.#mustBeOpen()
    const asked = this.#dial().then(async socket => {
      try {
        return await work(socket)
      } finally {
        socket.end(optionMessage(options.abort))
      }
    })
    try {
      // A caller that leaves does not end it: it ends in its time.
      return await abortable(asked, signal)
    } catch (error) {
      throw nbdError(subject, error)
    }
  }

  #dial(): Promise<NbdSocket> {
    return dial(this.#place, this.#tls, this.#options.callMsMax)
  }

  #exportOf(key: string): string | null {
    const { exportName } = this.#place
    if (exportName === null) return exportOfImageName(key)
    return key === imageNameOfOne(exportName) ? exportName : null
  }

  #digestOf(key: string): Digest | null {
    return Object.hasOwn(this.#options.digests, key) ? this.#options.digests[key]! : null
  }

  #subject(key: string): string {
    return `${this.url}: ${JSON.stringify(key)}`
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw new CacheError('closed', `${this.url}: has been closed`)
  }

  #mustBeCurrent(image: Image): void {
    const exportName = this.#exportOf(image.key)
    const digest = this.#digestOf(image.key)
    const isKnown = digest !== null || this.#options.allowMutable
    const isSame = exportName !== null && nbdValidatorOf(exportName, image.sizeBytes, digest) === image.validator
    if (!isKnown || !isSame) throw this.#changed(image)
  }

  #changed(image: Image, cause?: unknown): CacheError {
    const message = `${this.#subject(image.key)}: is no longer the version that was opened`
    return new CacheError('image-changed', message, { cause })
  }
}
