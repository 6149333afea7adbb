/**
 * A web server as an origin: `http(s)://host/directory/`, the files directly in it.
 *
 * No client can see a file that is written in place while the server sends it: images are to be replaced by rename.
 */

import { callSafely } from '../../async/on-settled.ts'
import { abortedBy, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Digest } from '../contract/digest.ts'
import { isImageName } from '../contract/image-name.ts'
import type { FoundImage, Origin, OriginExtent, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { HttpClient, type HttpOptions, httpOptionsDefault } from './http-client.ts'
import { httpDigest } from './http-digest.ts'
import { HttpListing } from './http-listing.ts'
import { HttpObjects, missing } from './http-objects.ts'
import { baseOf } from './protocol/http-url.ts'

export class HttpOrigin implements Origin {
  readonly url: string
  readonly #base: URL
  /** Its images can be read without credentials, at its own address. */
  readonly #isPublic: boolean
  readonly #client: HttpClient
  readonly #listing: HttpListing
  readonly #objects: HttpObjects
  /** The last read image is read next. */
  #latest: { readonly key: string; readonly url: URL } | null = null

  /**
   * @param url `http(s)://[user:password@]host[:port]/directory/`
   * @throws CacheError invalid-argument
   */
  constructor(url: string, options: Partial<HttpOptions> = {}) {
    const { base, authorization } = baseOf(url)
    this.url = base.href
    this.#base = base
    const all = { ...httpOptionsDefault, ...options }
    this.#isPublic = authorization === null && all.authorizer === null && all.unixSocket === null
    this.#client = new HttpClient(base.origin, authorization, all)
    this.#listing = new HttpListing(base, this.#client, all.listingBytesMax)
    this.#objects = new HttpObjects(this.url, this.#client, all.readers, {
      takesSequential: all.takesSequential,
    })
  }

  list({ signal }: ReadOptions): Promise<readonly string[] | null> {
    return this.#listing.list(signal)
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<FoundImage> {
    throwIfAborted(signal)
    return await this.#objects.lookup(key, this.#placeOf(key), signal)
  }

  read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    if (target.length === 0) return Promise.resolve()
    return callSafely(() => this.#objects.read(image, this.#placeOf(image.key), offset, target, signal))
  }

  readWhole(image: Image, take: TakeBytes, { signal }: ReadOptions): Promise<void> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    return callSafely(() => this.#objects.readWhole(image, this.#placeOf(image.key), take, signal))
  }

  async extentAt(_image: Image, _offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    return null
  }

  async digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    throwIfAborted(signal)
    return await httpDigest(image, this.#client, name => this.#placeOf(name), signal)
  }

  publicUrlOf({ key }: Image): string | null {
    return this.#isPublic ? this.#placeOf(key).href : null
  }

  close(): Promise<void> {
    this.#objects.close()
    return this.#client.close()
  }

  #placeOf(key: string): URL {
    if (this.#latest?.key === key) return this.#latest.url
    if (!isImageName(key)) throw missing(this.url, key)
    const url = new URL(encodeURIComponent(key), this.#base)
    this.#latest = { key, url }
    return url
  }
}
