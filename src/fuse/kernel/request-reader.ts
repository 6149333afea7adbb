/**
 * A cursor over one request: takes numbers and names, and never looks past the end.
 *
 * The protocol is in the byte order of the machine; we serve little-endian ones (as the residency table does).
 */
import { FsError } from '../filesystem/fs-error.ts'

/** Fatal, so that bytes that are no text are noticed; a byte order mark is part of a name like any other character. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class RequestReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Bytes not taken yet. */
  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  /** @throws Refusal malformed */
  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  /** @throws Refusal malformed */
  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  /** @throws Refusal malformed */
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  /** @throws Refusal malformed */
  skip(bytes: number): void {
    this.#take(bytes)
  }

  /** Bytes of the request itself: they are not copied. @throws Refusal malformed */
  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  /**
   * A name that ends with NUL; null when it is not UTF-8: no image has such a name, since origins name images in text.
   * @throws Refusal malformed when no NUL follows
   */
  name(): string | null {
    const end = this.#bytes.indexOf(0, this.#at)
    if (end < 0) throw new FsError('malformed', 'a name without its end')
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end + 1
    try {
      return utf8.decode(bytes)
    } catch {
      return null
    }
  }

  #take(bytes: number): number {
    const at = this.#at
    if (bytes > this.#bytes.length - at)
      throw new FsError('malformed', `${bytes} bytes wanted at ${at} of ${this.#bytes.length}`)
    this.#at += bytes
    return at
  }
}
