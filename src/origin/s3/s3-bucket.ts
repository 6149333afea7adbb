/**
 * One bucket at one address: its objects, asked and read by their keys.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Digest } from '../contract/digest.ts'
import { isImageKey, keyOfPath } from '../contract/image-name.ts'
import { keyBytesMax } from '../contract/limits.ts'
import { HttpClient, type HttpOptions } from '../http/http-client.ts'
import { httpDigest } from '../http/http-digest.ts'
import { HttpObjects, missing } from '../http/http-objects.ts'
import { placesMax } from './limits.ts'
import { checksumIn, md5In } from './s3-digest.ts'
import { s3ErrorIn } from './s3-error.ts'
import { listKeys } from './s3-listing.ts'
import type { S3Signer } from './s3-signer.ts'
import { encodedPart, encodedPath } from './s3-url.ts'
import { pinnedFacts, versionOfValidator } from './s3-version.ts'

/** An image as its reads ask for it. */
interface Place {
  /** Its validator is what a condition takes: the ETag alone. */
  readonly image: Image
  readonly url: URL
  /** The URL names the version. */
  readonly isPinned: boolean
}

export interface S3BucketOptions {
  /** The origin's URL, for facts and messages. */
  readonly identity: string
  /** Ends in a slash; keys go behind it. */
  readonly url: URL
  readonly prefix: string
  readonly signer: S3Signer
  readonly http: HttpOptions
}

export class S3Bucket {
  readonly url: URL
  readonly #identity: string
  readonly #prefix: string
  readonly #client: HttpClient
  readonly #objects: HttpObjects
  readonly #places = new LruMap<string, Place>(placesMax)
  #latest: Place | null = null
  /** False once a version was refused that could be read without its name. */
  #mayPin = true

  constructor({ identity, url, prefix, signer, http }: S3BucketOptions) {
    this.url = url
    this.#identity = identity
    this.#prefix = prefix
    this.#client = new HttpClient(url.origin, null, { ...http, authorizer: signer, readError: s3ErrorIn })
    const rules = { asksFirstByte: true, hasContentETags: true, pin: pinnedFacts }
    this.#objects = new HttpObjects(identity, this.#client, http.readers, rules)
  }

  list(signal: CancelSignal): Promise<readonly string[] | null> {
    return listKeys(this.#client, this.url, this.#prefix, signal)
  }

  async lookup(key: string, signal: CancelSignal): Promise<ImageFacts> {
    return await this.#objects.lookup(key, this.#urlOf(key), signal)
  }

  /** A version that we may not read by its name is read as the newest one, on the condition of its ETag. */
  async read(image: Image, offset: number, target: Uint8Array, signal: CancelSignal): Promise<void> {
    const place = this.#placeOf(image)
    try {
      await this.#objects.read(place.image, place.url, offset, target, signal)
    } catch (error) {
      if (!place.isPinned || !isCacheError(error, 'access-denied')) throw error
      await this.#objects.read(place.image, this.#urlOf(image.key), offset, target, signal)
      this.#mayPin = false
      this.#places.delete(image.id)
      this.#latest = null
    }
  }

  /** Of what lies beside images there are no versions: an image that was replaced has none of these digests. */
  async digest(image: Image, signal: CancelSignal): Promise<Digest | null> {
    const { image: asked, isPinned } = this.#placeOf(image)
    let own: Digest | null = null
    try {
      const published = await httpDigest(
        asked,
        this.#client,
        name => this.#urlOf(name),
        signal,
        headers => {
          own = md5In(headers)
          return checksumIn(headers)
        },
      )
      return published ?? own
    } catch (error) {
      if (isPinned && isCacheError(error, 'image-changed')) return null
      throw error
    }
  }

  close(): Promise<void> {
    this.#objects.close()
    return this.#client.close()
  }

  #placeOf(image: Image): Place {
    if (this.#latest?.image.id === image.id) return this.#latest
    const place = this.#places.use(image.id) ?? this.#newPlace(image)
    this.#places.set(image.id, place)
    this.#latest = place
    return place
  }

  #newPlace(image: Image): Place {
    const { etag, id } = versionOfValidator(image.validator)
    const url = this.#urlOf(image.key)
    const isPinned = id !== null && this.#mayPin
    if (isPinned) url.search = `versionId=${encodedPart(id)}`
    return { image: { ...image, validator: etag }, url, isPinned }
  }

  /** @throws CacheError not-found when that is no path of an object; URLs cannot name one with dots between slashes */
  #urlOf(path: string): URL {
    const key = this.#prefix + keyOfPath(path)
    const isDotted = key.split('/').some(part => part === '.' || part === '..')
    if (!isImageKey(path) || isDotted || Buffer.byteLength(key) > keyBytesMax) throw missing(this.#identity, path)
    return new URL(this.url.href + encodedPath(key))
  }
}
