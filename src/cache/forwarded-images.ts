/**
 * Forwarded images: those in mode `forward` whose origin has their files on this host. Readers are sent back to these
 * files; the cache is neither asked nor filled. All other readers in that mode are served as in `proxy`.
 *
 * The version is compared at each open. Like any reader of such a file, one that has it open sees what is written into
 * it afterwards; a file that is replaced by another one stays as it was.
 */
import type { CancelSignal } from '../base/cancel-signal.ts'
import { isCacheError } from '../base/errors.ts'
import type { Image } from '../base/image.ts'
import type { Origin, OwnFile } from '../origin/contract/origin.ts'
import type { DigestVerifier } from './integrity/digest-verifier.ts'
import type { ModeTable } from './modes/mode-table.ts'

export interface ForwardedImagesContext {
  readonly modes: Pick<ModeTable, 'of'>
  readonly digester: Pick<DigestVerifier, 'isSound'>
  /** The origin has another version. */
  readonly imageChanged: (image: Image) => void
  readonly originOf: (image: Image) => Origin
  /** The image is open, or not any more. */
  readonly opens: { begin(imageId: string): void; end(imageId: string): void }
}

/** For status and metrics. */
export interface ForwardedCounters {
  /** Opens that were given the origin's own file, and now are. */
  readonly opens: number
  readonly openNow: number
  /** Opens that were to be, and could not: their reads are served as in `proxy`. */
  readonly refused: number
  /** Requests of other hosts that were sent on to the origin. */
  readonly redirects: number
}

export class ForwardedImages {
  readonly #parts: ForwardedImagesContext
  #opens = 0
  #openNow = 0
  #refused = 0
  #redirects = 0
  #isClosed = false

  constructor(parts: ForwardedImagesContext) {
    this.#parts = parts
  }

  get counters(): ForwardedCounters {
    return { opens: this.#opens, openNow: this.#openNow, refused: this.#refused, redirects: this.#redirects }
  }

  /** Would an open be given the origin's own file? */
  offers(image: Image): boolean {
    return this.#isForwarded(image) && this.#parts.originOf(image).hasOwnFiles === true
  }

  /**
   * Begin one open; null when its reads are to be served as in `proxy`. The file is the caller's to close.
   * @throws CacheError image-changed, access-denied, origin-*, aborted
   */
  async begin(image: Image, options: { readonly signal: CancelSignal }): Promise<OwnFile | null> {
    const file = await this.#openFile(image, options)
    if (!file) {
      this.#refused++
      return null
    }
    this.#parts.opens.begin(image.id)
    this.#opens++
    this.#openNow++
    return file
  }

  /** End what one {@link begin} began. */
  end(image: Image): void {
    this.#parts.opens.end(image.id)
    this.#openNow--
  }

  /**
   * The place where another host can read the image by itself; null: none, or it is not to. It counts as sent there.
   * @param reaches can it reach that place?
   */
  redirectionOf(image: Image, reaches: (url: string) => boolean): string | null {
    const place = this.#isForwarded(image) ? (this.#parts.originOf(image).publicUrlOf?.(image) ?? null) : null
    if (place === null || !reaches(place)) return null
    this.#redirects++
    return place
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true
  }

  async #openFile(image: Image, options: { readonly signal: CancelSignal }): Promise<OwnFile | null> {
    if (!this.offers(image)) return null
    try {
      const file = (await this.#parts.originOf(image).openFile?.(image, options)) ?? null
      if (file && this.#isClosed) await file.close()
      return this.#isClosed ? null : file
    } catch (error) {
      this.#refused++
      // The name is looked up again at once: it has to be asked about, or the reader would get the version of before.
      if (isCacheError(error, 'image-changed')) this.#parts.imageChanged(image)
      throw error
    }
  }

  /** Of a damaged image nothing may be read. */
  #isForwarded(image: Image): boolean {
    return !this.#isClosed && this.#parts.modes.of(image) === 'forward' && this.#parts.digester.isSound(image)
  }
}
