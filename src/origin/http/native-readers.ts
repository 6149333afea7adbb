/**
 * Native readers of a web server's images: published when a range of an image was answered as it should be, and could
 * be asked for again by the same request. Taken back when the image is refused.
 */

import type { Image } from '../../base/image.ts'
import { originDescriptorsMax } from '../../base/limits.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { OriginReader } from '../../native/origin-reader.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import { nativePauseMs } from './limits.ts'
import type { HttpAnswer, NativeHost } from './protocol/http-body.ts'
import { versionHeadersOf } from './protocol/response-headers.ts'

interface Published {
  readonly text: string
  readonly host: NativeHost
  readonly reader: OriginReader
  readonly sinceMs: number
  readonly untilMs: number
}

type ValidatorOf = (image: Image, answer: HttpAnswer) => string | null

export class NativeReaders {
  readonly #table: ReaderTable
  readonly #validatorOf: ValidatorOf
  readonly #now: () => number
  readonly #published = new LruMap<string, Published>(originDescriptorsMax)

  /**
   * @param validatorOf the validator by which further answers show the version of an image; null: none would
   * @param now milliseconds, never going back
   */
  constructor(
    table: ReaderTable,
    validatorOf: ValidatorOf = ({ validator }) => validator,
    now = () => performance.now(),
  ) {
    this.#table = table
    this.#validatorOf = validatorOf
    this.#now = now
  }

  /** A range of an image was answered right. */
  answered(image: Image, answer: HttpAnswer): void {
    const { inPlace, repeatMs } = answer
    if (inPlace === null || repeatMs <= 0) return
    const { text, host } = inPlace.request
    host.connect()
    const nowMs = this.#now()
    const known = this.#published.use(image.id)
    if (known && known.text === text && known.host === host && nowMs < known.untilMs) {
      // A host that answers otherwise now and then is left to TypeScript for a while.
      if (!host.isOver(known.reader) || nowMs < known.sinceMs + nativePauseMs) return
    }
    const validator = this.#validatorOf(image, answer)
    const version = validator === null ? null : versionHeadersOf(validator)
    if (version === null) return
    const reader = host.reader(text, { sizeBytes: image.sizeBytes, ...version }, repeatMs)
    this.#published.set(image.id, { text, host, reader, sinceMs: nowMs, untilMs: nowMs + repeatMs })
    this.#table.set(image.id, reader)
  }

  /** It was refused, or is another one. */
  refused(image: Image): void {
    this.#published.delete(image.id)
    this.#table.delete(image.id)
  }

  /** The origin is closed. */
  close(): void {
    for (const imageId of this.#published.keys()) this.#table.delete(imageId)
  }
}
