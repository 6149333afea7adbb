/**
 * The objects of a container of OpenStack Swift, or of Ceph's radosgw: `swift://container/prefix/`.
 *
 * A plain object has its MD5 as its validator, and is read with If-Match. A large one is read by its segments, each
 * with its own If-Match: of a whole one radosgw answers If-Match with 412 always, and serves the new bytes of a segment
 * that was written anew under the old ETag. Source: tried with Swift 2.30 and radosgw 16.2.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { SingleFlight } from '../../async/single-flight.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { listingNamesMax } from '../../base/limits.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Digest } from '../contract/digest.ts'
import { digestBesideObject } from '../contract/digest-beside.ts'
import { isImageKey, keyOfPath, pathOfKey } from '../contract/image-name.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import { HttpClient, type HttpOptions, httpOptionsDefault } from '../http/http-client.ts'
import { HttpObjects, missing } from '../http/http-objects.ts'
import type { HttpAnswer } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { contentLengthOf, headerOf, isEncoded, modifiedMsOf, validatorOf } from '../http/protocol/response-headers.ts'
import { OpenStackAccount } from '../openstack/openstack-account.ts'
import {
  accountLoginOf,
  endpointChoiceOf,
  type OpenStackEnvironment,
  type OpenStackSettings,
  openStackSettingsDefault,
} from '../openstack/openstack-options.ts'
import { ListingForbidden, listedObjects } from './container-listing.ts'
import { partsAtOnceMax, segmentsKeptMax } from './limits.ts'
import { dynamicSegments, type ManifestSource, staticSegments, urlOf } from './manifests.ts'
import { isOfSegments, type Segment, SegmentList } from './segments.ts'
import { objectUrlOf, type SwiftPlace, swiftPlaceOf, swiftUrlOf } from './swift-url.ts'

export interface SwiftOptions {
  readonly settings: OpenStackSettings
  readonly environment: OpenStackEnvironment
  readonly logger: Logger
}

export const swiftOptionsDefault: SwiftOptions = {
  settings: openStackSettingsDefault,
  environment: {},
  logger: silentLogger,
}

/** An account as it is asked. */
interface Store {
  /** Its URL, without a slash at its end. */
  readonly account: string
  readonly client: HttpClient
  readonly objects: HttpObjects
}

/** URLs of one account that a catalog may give in turn. */
const storesMax = 4

export class SwiftOrigin implements Origin {
  readonly url: string
  readonly isHierarchical = true
  readonly #place: SwiftPlace
  readonly #account: OpenStackAccount
  readonly #storageUrl: string | null
  readonly #http: HttpOptions
  readonly #stores = new LruMap<string, Store>(storesMax, { onLeave: store => void closeStore(store) })
  /** By validator and key. */
  readonly #segments = new LruMap<string, SegmentList>(segmentsKeptMax, {
    weightOf: ({ segments }) => segments.length + 1,
  })
  readonly #looks = new SingleFlight<SegmentList>()
  #latest: { readonly account: string; readonly key: string; readonly url: URL } | null = null
  #closing: Promise<void> | null = null

  /** @throws CacheError invalid-argument */
  constructor(url: string, { settings, environment, logger }: SwiftOptions, options: Partial<HttpOptions> = {}) {
    this.#place = swiftPlaceOf(url)
    this.url = swiftUrlOf(this.#place)
    this.#http = { ...httpOptionsDefault, ...options }
    const { auth, project, region, storage } = this.#place
    const said = { ...settings, authUrl: auth, project: project ?? settings.project, region: region ?? settings.region }
    const login = accountLoginOf(said, environment)
    this.#storageUrl = storage ?? (environment.OS_STORAGE_URL || null)
    if (this.#storageUrl === null && (login.kind === 'none' || login.kind === 'token')) {
      throw new CacheError('invalid-argument', `${this.url}: needs authUrl, or storageUrl, as a setting or OS_AUTH_URL`)
    }
    this.#account = new OpenStackAccount({ login, endpoint: endpointChoiceOf(said, environment), logger }, this.#http)
  }

  async list({ signal }: ReadOptions): Promise<readonly string[] | null> {
    const { account, client } = await this.#store(signal)
    const { container, prefix } = this.#place
    const keys: string[] = []
    try {
      const url = new URL(`${account}/${encodeURIComponent(container)}`)
      for await (const page of listedObjects(client, url, prefix, signal)) {
        for (const { name, isDirectory } of page) {
          const key = isDirectory || !name.startsWith(prefix) ? null : pathOfKey(name.slice(prefix.length))
          if (key !== null) keys.push(key)
        }
        if (keys.length > listingNamesMax) break
      }
    } catch (error) {
      // Objects may be read by all, and listed by none. Without a token that is a 401.
      const isStranger = this.#account.authorizer === null && isCacheError(error, 'access-denied')
      if (isStranger || error instanceof ListingForbidden) return null
      throw error
    }
    return keys.slice(0, listingNamesMax + 1)
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<ImageFacts> {
    const store = await this.#store(signal)
    const { facts, list } = await this.#look(store, key, signal)
    if (list !== null) this.#segments.set(`${facts.validator} ${key}`, list)
    return facts
  }

  async read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    const store = await this.#store(signal)
    if (target.length === 0) return
    const url = this.#urlOf(store, image.key)
    if (!isOfSegments(image.validator)) return await store.objects.read(image, url, offset, target, signal)
    const list = await this.#segmentsOf(store, image, signal)
    await this.#readParts(store, image, list, offset, target, signal)
  }

  async extentAt(_image: Image, _offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    return null
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return digestBesideObject(this, image, options)
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all([this.#account.close(), ...[...this.#stores.values()].map(closeStore)]).then(() => {})
    return this.#closing
  }

  /** The account at the URL that it has now. */
  async #store(signal: CancelSignal): Promise<Store> {
    throwIfAborted(signal)
    if (this.#closing !== null) throw new CacheError('closed', `${this.url}: the origin has been closed`)
    const said = this.#storageUrl ?? (await this.#account.endpointOf('object-store', signal))
    const account = said.replace(/\/+$/, '')
    const known = this.#stores.use(account)
    if (known !== undefined) return known
    if (this.#closing !== null) throw new CacheError('closed', `${this.url}: the origin has been closed`)
    if (!URL.canParse(account)) throw new CacheError('origin-protocol', `${this.url}: its account is at no URL`)
    const client = new HttpClient(new URL(account).origin, null, {
      ...this.#http,
      authorizer: this.#account.authorizer,
    })
    const store = { account, client, objects: new HttpObjects(this.url, client, this.#http.readers) }
    this.#stores.set(account, store)
    return store
  }

  /** The last image is asked for next. */
  #urlOf({ account }: Store, key: string): URL {
    if (this.#latest?.key === key && this.#latest.account === account) return this.#latest.url
    const { container, prefix } = this.#place
    const url = isImageKey(key) ? objectUrlOf(account, container, prefix + keyOfPath(key)) : null
    if (url === null) throw missing(this.url, key)
    this.#latest = { account, key, url }
    return url
  }

  async #look(
    store: Store,
    key: string,
    signal: CancelSignal,
  ): Promise<{ readonly facts: ImageFacts; readonly list: SegmentList | null }> {
    const url = this.#urlOf(store, key)
    const headers = { 'x-newest': 'true' }
    const head = await store.client.exchange({ method: 'HEAD', url, headers }, signal, async answer => {
      if (answer.status === 404) throw missing(this.url, key)
      if (answer.status !== 200 && answer.status !== 204) throw failureOf(answer, 'lookup')
      return answer
    })
    const sizeBytes = contentLengthOf(head.headers)
    if (sizeBytes === null || isEncoded(head.headers)) {
      throw new CacheError('origin-unsupported', `${head.place}: has no length, or an encoding (Content-Encoding)`)
    }
    const facts = { origin: this.url, key, modifiedMs: modifiedMsOf(head.headers) }
    const list = await this.#listOf(store, url, head, signal)
    if (list === null) return { facts: { ...facts, sizeBytes, validator: validatorIn(head) }, list }
    if (list.sizeBytes !== sizeBytes) {
      const lengths = `${list.sizeBytes} bytes of ${sizeBytes}`
      throw new CacheError('origin-failed', `${head.place}: its segments have ${lengths}: they have changed just now`)
    }
    return { facts: { ...facts, sizeBytes, validator: list.validator }, list }
  }

  /** The segments of a large object, or null: it is none. */
  async #listOf(store: Store, url: URL, head: HttpAnswer, signal: CancelSignal): Promise<SegmentList | null> {
    const source: ManifestSource = { client: store.client, account: store.account, subject: head.place, signal }
    if (/^true$/i.test(headerOf(head.headers, 'x-static-large-object') ?? '')) {
      return new SegmentList(await staticSegments(source, url))
    }
    const manifest = headerOf(head.headers, 'x-object-manifest')
    return manifest === null ? null : new SegmentList(await dynamicSegments(source, manifest))
  }

  /** Asked again where they are not kept any more: once for all reads that wait. */
  async #segmentsOf(store: Store, image: Image, signal: CancelSignal): Promise<SegmentList> {
    const name = `${image.validator} ${image.key}`
    const known = this.#segments.use(name)
    if (known !== undefined) return known
    return await this.#looks.run(`${store.account} ${name}`, signal, async shared => {
      const { facts, list } = await this.#look(store, image.key, shared).catch(error => {
        throw isCacheError(error, 'not-found') ? this.#changed(image, error) : error
      })
      if (list === null || facts.validator !== image.validator) throw this.#changed(image)
      this.#segments.set(name, list)
      return list
    })
  }

  /** Several at once; when one fails, the others end before that is told. */
  async #readParts(
    store: Store,
    image: Image,
    list: SegmentList,
    offset: number,
    target: Uint8Array,
    signal: CancelSignal,
  ): Promise<void> {
    const subject = `${this.url} ${image.key}`
    const source: ManifestSource = { client: store.client, account: store.account, subject, signal }
    const parts = list.partsOf(offset, target.length)
    const shared = new LightAbortSignal(signal, abortedBy)
    let failure: unknown = null
    let at = 0
    const readPart = async (part: Segment) => {
      const into = target.subarray(at, (at += part.length))
      try {
        const version = { sizeBytes: part.objectBytes, validator: part.etag }
        await store.objects.readRange(version, urlOf(source, part), part.first, into, shared)
      } catch (error) {
        failure ??= error
        shared.abort()
      }
    }
    for (let k = 0; k < parts.length && failure === null; k += partsAtOnceMax) {
      await Promise.all(parts.slice(k, k + partsAtOnceMax).map(readPart))
    }
    shared.end()
    if (failure !== null) throw failure
  }

  #changed(image: Image, cause?: unknown): CacheError {
    const message = `${this.url} ${image.key}: is no longer the version that was opened`
    return new CacheError('image-changed', message, { cause })
  }
}

/** Of a plain object. @throws CacheError origin-unsupported */
function validatorIn(head: HttpAnswer): string {
  const validator = validatorOf(head.headers, { acceptsBare: true })
  if (validator !== null && /^"?[0-9a-f]{32}/.test(validator)) return validator
  throw new CacheError('origin-unsupported', `${head.place}: has no MD5 as its ETag, which would name its version`)
}

async function closeStore({ client, objects }: Store): Promise<void> {
  objects.close()
  await client.close()
}
