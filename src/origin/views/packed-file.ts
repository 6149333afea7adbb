/**
 * Packed file: one version of a packed disk image at the inner origin, read within its bounds. Tables are read by
 * pages, which are kept in memory up to a bound that all images of the origin share.
 */
import { SingleFlight } from '../../async/single-flight.ts'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { tableBytesMax } from './limits.ts'

/** Pages of tables, those of all images of an origin. */
export class TablePages {
  readonly #kept: LruMap<string, Buffer>
  readonly #reads = new SingleFlight<Buffer>()

  constructor(bytesMax: number = tableBytesMax) {
    this.#kept = new LruMap(bytesMax, { weightOf: page => page.length })
  }

  get bytes(): number {
    return this.#kept.weight
  }

  async get(key: string, options: ReadOptions, read: (options: ReadOptions) => Promise<Buffer>): Promise<Buffer> {
    const kept = this.#kept.use(key)
    if (kept) return kept
    const page = await this.#reads.run(key, options.signal, signal => read({ opener: options.opener, signal }))
    this.#kept.set(key, page)
    return page
  }
}

export class PackedFile {
  readonly image: Image
  readonly #origin: Origin
  readonly #pages: TablePages

  constructor(image: Image, origin: Origin, pages: TablePages) {
    this.image = image
    this.#origin = origin
    this.#pages = pages
  }

  get sizeBytes(): number {
    return this.image.sizeBytes
  }

  /** @throws CacheError origin-protocol when the range is not within the file, and what the origin throws */
  async bytes(offset: number, length: number, options: ReadOptions): Promise<Buffer> {
    this.#mustHave(offset, length)
    const bytes = Buffer.allocUnsafe(length)
    await this.#origin.read(this.image, offset, bytes, options)
    return bytes
  }

  /** The same, into `target`. */
  async fill(offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    this.#mustHave(offset, target.length)
    await this.#origin.read(this.image, offset, target, options)
  }

  /** A part of a table; read by pages of `pageBytes`, and not to be changed. */
  async table(offset: number, length: number, pageBytes: number, options: ReadOptions): Promise<Buffer> {
    this.#mustHave(offset, length)
    const first = Math.floor(offset / pageBytes)
    const last = Math.floor((offset + length - 1) / pageBytes)
    const begin = offset - first * pageBytes
    if (first === last) return (await this.#page(first, pageBytes, options)).subarray(begin, begin + length)
    const pages: Buffer[] = []
    for (let page = first; page <= last; page++) pages.push(await this.#page(page, pageBytes, options))
    return Buffer.concat(pages).subarray(begin, begin + length)
  }

  /** One byte, so that a version that is no longer there is noticed. @throws CacheError image-changed */
  async confirm(options: ReadOptions): Promise<void> {
    await this.#origin.read(this.image, 0, new Uint8Array(1), options)
  }

  /** The error of a file that is not what its format says. */
  damaged(what: string): CacheError {
    return new CacheError('origin-protocol', `${this.#name}: ${what}; it is not served as raw`)
  }

  /** The error of a file with something that is not supported. */
  refused(what: string): CacheError {
    return new CacheError('origin-unsupported', `${this.#name}: ${what}; it is not served as raw`)
  }

  get #name(): string {
    return `${this.#origin.url}: ${this.image.key}`
  }

  #page(page: number, pageBytes: number, options: ReadOptions): Promise<Buffer> {
    const offset = page * pageBytes
    const length = Math.min(pageBytes, this.sizeBytes - offset)
    const read = (shared: ReadOptions) => this.bytes(offset, length, shared)
    return this.#pages.get(`${this.image.id} ${pageBytes} ${page}`, options, read)
  }

  #mustHave(offset: number, length: number): void {
    if (offset + length > this.sizeBytes)
      throw this.damaged(`it has ${this.sizeBytes} bytes, and needs those at ${offset}`)
  }
}
