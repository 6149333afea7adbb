/**
 * A bucket of S3, or of a server that speaks its protocol, as an origin: `s3://bucket/prefix/`, the objects whose keys
 * begin with the prefix.
 *
 * Region and endpoint are looked up at the first call, where the configuration does not name them. A bucket of AWS that
 * turns out to be in another region is asked there from then on.
 */
import { SharedRun } from '../../async/shared-run.ts'
import { abortedBy, CacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import type { Digest } from '../contract/digest.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import { type HttpOptions, httpOptionsDefault } from '../http/http-client.ts'
import type { ConfiguredKeysOptions } from './credentials/configured-keys.ts'
import { defaultCredentials } from './credentials/default-credentials.ts'
import type { AwsEnvironment } from './credentials/environment-keys.ts'
import { SharedFiles } from './credentials/shared-files.ts'
import { LongListing } from './long-listing.ts'
import { type Addressing, bucketUrlOf } from './s3-address.ts'
import { S3Bucket } from './s3-bucket.ts'
import { isRegion } from './s3-error.ts'
import { S3Signer } from './s3-signer.ts'
import { endpointOf, type S3Place, s3PlaceOf, s3UrlOf } from './s3-url.ts'

export interface S3Options {
  /** null: as the environment and AWS's shared files say. */
  readonly region: string | null
  readonly addressing: Addressing
  /** A profile of AWS's shared files; null: as the environment says. */
  readonly profile: string | null
  /** Keys of the configuration; null: those of the first place that has some. */
  readonly keys: ConfiguredKeysOptions | null
  /** Requests are not signed. */
  readonly anonymous: boolean
  readonly requesterPays: boolean
  readonly environment: AwsEnvironment
  readonly logger: Logger
  /** The clock on the wall, in milliseconds since 1970. */
  readonly now: () => number
}

export const s3OptionsDefault: S3Options = {
  region: null,
  addressing: 'auto',
  profile: null,
  keys: null,
  anonymous: false,
  requesterPays: false,
  environment: process.env,
  logger: silentLogger,
  now: Date.now,
}

/** Of AWS where nothing names another; a bucket that is elsewhere says where. */
const regionDefault = 'us-east-1'

/** Moves of one call: a bucket is in one region. */
const movesMax = 2

export class S3Origin implements Origin {
  readonly url: string
  readonly isHierarchical = true
  readonly #place: S3Place
  readonly #options: S3Options
  readonly #http: HttpOptions
  readonly #openings = new SharedRun<S3Bucket>()
  readonly #buckets: S3Bucket[] = []
  readonly #listing = new LongListing<readonly string[] | null>()
  #signer: S3Signer | null = null
  #endpoint: URL | null = null
  #isClosed = false

  /**
   * @param url `s3://bucket/prefix/[?endpoint=URL]`
   * @throws CacheError invalid-argument
   */
  constructor(url: string, options: Partial<S3Options> = {}, http: Partial<HttpOptions> = {}) {
    this.#place = s3PlaceOf(url)
    this.url = s3UrlOf(this.#place)
    this.#options = { ...s3OptionsDefault, ...options }
    this.#http = { ...httpOptionsDefault, ...http }
  }

  async list({ signal }: ReadOptions): Promise<readonly string[] | null> {
    throwIfAborted(signal)
    return await this.#listing.names(own => this.#with(bucket => bucket.list(own)), signal)
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<ImageFacts> {
    throwIfAborted(signal)
    return await this.#with(bucket => bucket.lookup(key, signal))
  }

  read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    if (target.length === 0) return Promise.resolve()
    return this.#with(bucket => bucket.read(image, offset, target, signal))
  }

  async extentAt(_image: Image, _offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    return null
  }

  async digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    throwIfAborted(signal)
    return await this.#with(bucket => bucket.digest(image, signal))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#openings.current?.catch(() => {})
    await Promise.all(this.#buckets.map(bucket => bucket.close()))
  }

  /** Once more where the bucket turned out to be elsewhere. */
  async #with<T>(work: (bucket: S3Bucket) => Promise<T>): Promise<T> {
    for (let moves = 0; ; moves++) {
      const bucket = this.#buckets.at(-1) ?? (await this.#openings.run(() => this.#open()))
      try {
        return await work(bucket)
      } catch (error) {
        if (moves === movesMax || !this.#hasMoved(bucket)) throw error
      }
    }
  }

  async #open(): Promise<S3Bucket> {
    const { region, anonymous, profile, environment, requesterPays, now } = this.#options
    const files = new SharedFiles(environment, profile)
    const { AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = environment
    const isIgnored = environment.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS?.toLowerCase() === 'true'
    const found = anonymous && profile === null ? null : await files.profile()
    const here = region ?? (AWS_REGION || AWS_DEFAULT_REGION || found?.get('region') || regionDefault)
    if (!isRegion(here)) throw new CacheError('access-denied', `${JSON.stringify(here)} is not the name of a region`)
    const said = isIgnored ? null : AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL || found?.get('endpoint_url')
    this.#endpoint = this.#place.endpoint ?? (said ? endpointOf(said) : null)
    const credentials = anonymous ? null : defaultCredentials(this.#options, files)
    this.#signer = new S3Signer({ credentials, region: here, requesterPays, now })
    return this.#openAt(this.#signer)
  }

  /** @returns true when it is to be asked at another address, or is by now */
  #hasMoved(bucket: S3Bucket): boolean {
    if (this.#isClosed || this.#signer === null) return false
    const { href } = this.#addressOf(this.#signer)
    if (href !== this.#buckets.at(-1)?.url.href) this.#openAt(this.#signer)
    return href !== bucket.url.href
  }

  #openAt(signer: S3Signer): S3Bucket {
    if (this.#isClosed) throw new CacheError('closed', `${this.url}: the origin has been closed`)
    const url = this.#addressOf(signer)
    const bucket = new S3Bucket({ identity: this.url, url, prefix: this.#place.prefix, signer, http: this.#http })
    this.#buckets.push(bucket)
    return bucket
  }

  #addressOf({ region }: S3Signer): URL {
    return bucketUrlOf(this.#place.bucket, this.#endpoint, region, this.#options.addressing)
  }
}
