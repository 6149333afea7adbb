/**
 * Back-off of data files that could not be made: each is tried again only after a pause, since every read of its image
 * would ask. The log says it once.
 */
import { messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { fileLineMsMin, fileRetryMs } from './limits.ts'

export class OpenBackoff {
  readonly #logger: Logger
  /** Milliseconds, never going back. */
  readonly #now: () => number
  /** The time from which each may be tried again, by image id. */
  readonly #notBeforeMs = new Map<string, number>()
  #lastLineMs = Number.NEGATIVE_INFINITY
  /** Failures since the last line. */
  #unsaid = 0

  constructor(logger: Logger, now: () => number) {
    this.#logger = logger
    this.#now = now
  }

  /** Images whose file could not be made. */
  get size(): number {
    return this.#notBeforeMs.size
  }

  /** May the file of this image be tried? */
  mayTry({ id }: Image): boolean {
    return (this.#notBeforeMs.get(id) ?? Number.NEGATIVE_INFINITY) <= this.#now()
  }

  failed(image: Image, error: unknown): void {
    const now = this.#now()
    const isKnown = this.#notBeforeMs.has(image.id)
    this.#notBeforeMs.set(image.id, now + fileRetryMs)
    if (isKnown) return
    this.#unsaid++
    if (now - this.#lastLineMs < fileLineMsMin) return
    const fields = { image: image.key, images: this.#unsaid, err: error }
    this.#logger.error(fields, `no data file: ${messageOf(error)}; reads go to the origin, and it is tried again`)
    this.#lastLineMs = now
    this.#unsaid = 0
  }

  succeeded(image: Image): void {
    if (this.#notBeforeMs.delete(image.id)) this.#logger.info({ image: image.key }, 'the data file could be made now')
  }

  /** The image has gone. */
  forget(imageId: string): void {
    this.#notBeforeMs.delete(imageId)
  }
}
