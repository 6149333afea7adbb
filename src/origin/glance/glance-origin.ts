/**
 * The images of OpenStack's image service: `glance://host/`.
 *
 * An image is found by its name or its id, and its bytes never change: the id and the digest are its version. They come
 * from the store that its location names, where the configuration knows that; else by ranges where the service's store
 * can read at random (file, cinder), else from the front. Tried with Glance 25.1, which answers a range of an image in
 * Swift, S3 or RBD with 400.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { listingNamesMax } from '../../base/limits.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Digest } from '../contract/digest.ts'
import { keyOfPath, pathOfKey } from '../contract/image-name.ts'
import { NoRangesError } from '../contract/no-ranges-error.ts'
import type { FoundImage, Origin, OriginExtent, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { HttpClient, type HttpOptions, httpOptionsDefault } from '../http/http-client.ts'
import { HttpObjects, missing } from '../http/http-objects.ts'
import { receiveText } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import type { LocationTeller } from '../locations/vetted-locations.ts'
import { OpenStackAccount } from '../openstack/openstack-account.ts'
import {
  accountLoginOf,
  endpointChoiceOf,
  type OpenStackEnvironment,
  type OpenStackSettings,
  openStackSettingsDefault,
} from '../openstack/openstack-options.ts'
import { glanceApiOf, glancePlaceOf, glanceUrlOf } from './glance-url.ts'
import { type ImageRecord, idOfValidator, isImageId, pageOf, recordOf } from './image-record.ts'
import { type ImageStore, ImageStores, type StoredCopy, withoutKeys } from './image-stores.ts'
import { imagePageBytesMax, imagePagesMax, pageImagesMax, propertyCharsMax, rangeAnswersMax } from './limits.ts'
import { ImageLocations, type LocationRegistrar } from './location-registrar.ts'

export interface GlanceOptions {
  readonly settings: OpenStackSettings
  readonly environment: OpenStackEnvironment
  readonly logger: Logger
  /** HTTP without TLS; null: with loopback addresses alone. */
  readonly isInsecure: boolean | null
  /** Stores that are read without the service. They are closed with the origin. */
  readonly stores: readonly ImageStore[]
}

export const glanceOptionsDefault: GlanceOptions = {
  settings: openStackSettingsDefault,
  environment: {},
  logger: silentLogger,
  isInsecure: null,
  stores: [],
}

/** The service as it is asked. */
interface Service {
  /** Of its API, such as `http://host:9292/`. */
  readonly base: URL
  readonly client: HttpClient
  readonly objects: HttpObjects
}

export class GlanceOrigin implements Origin, LocationTeller {
  readonly url: string
  readonly isHierarchical = true
  /** Further locations of its images at the service. */
  readonly registrar: LocationRegistrar
  readonly #said: URL | null
  readonly #account: OpenStackAccount
  readonly #http: HttpOptions
  readonly #logger: Logger
  #service: Service | null = null
  /** True for images that have ranges, by id. */
  readonly #ranges = new LruMap<string, boolean>(rangeAnswersMax)
  readonly #stores: ImageStores
  /** By id. */
  readonly #properties = new LruMap<string, ImageRecord['properties']>(propertyCharsMax, { weightOf: charsOf })
  /** Names that were said to be shared. */
  #shared = ''
  #closing: Promise<void> | null = null

  /** @throws CacheError invalid-argument */
  constructor(
    url: string,
    { settings, environment, logger, isInsecure, stores }: GlanceOptions,
    options: Partial<HttpOptions> = {},
  ) {
    const place = glancePlaceOf(url)
    this.url = glanceUrlOf(place)
    this.#said = glanceApiOf(place, isInsecure)
    this.#http = { ...httpOptionsDefault, ...options }
    this.#logger = logger
    this.#stores = new ImageStores(stores, logger)
    this.registrar = new ImageLocations({
      service: signal => this.#serviceNow(signal),
      record: (id, signal) => this.#recordText(id, signal),
    })
    const login = accountLoginOf(settings, environment)
    if (this.#said === null && (login.kind === 'none' || login.kind === 'token')) {
      throw new CacheError('invalid-argument', `${this.url}: needs authUrl for the catalog, or a host in the URL`)
    }
    this.#account = new OpenStackAccount(
      { login, endpoint: endpointChoiceOf(settings, environment), logger },
      this.#http,
    )
  }

  /** Names that one image has; of those that have no name of their own, the id. */
  async list({ signal }: ReadOptions): Promise<readonly string[] | null> {
    const service = await this.#serviceNow(signal)
    const ids = new Map<string, string[]>()
    let images = 0
    for await (const page of this.#pages(service, {}, 'list', signal)) {
      for (const { id, name } of page) {
        const key = pathOfKey(name) ?? id
        const those = ids.get(key)
        if (those) those.push(id)
        else ids.set(key, [id])
      }
      if ((images += page.length) > listingNamesMax) break
    }
    const shared = [...ids].filter(([, those]) => those.length > 1)
    this.#sayShared(shared.map(([name]) => name))
    return [...ids].flatMap(([name, those]) => (those.length === 1 ? [name] : those)).slice(0, listingNamesMax + 1)
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<FoundImage> {
    const service = await this.#serviceNow(signal)
    const record = await this.#find(service, key, signal)
    const { sizeBytes, validator, createdMs } = record
    const facts = { origin: this.url, key, sizeBytes, validator, modifiedMs: createdMs }
    if ((await this.#copyOf(service, record, signal)) !== null) return facts
    const hasRanges = await this.#hasRanges(service, facts, signal)
    return hasRanges ? facts : { ...facts, isSequential: true }
  }

  async read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    const service = await this.#serviceNow(signal)
    if (target.length === 0) return
    if (await this.#readCopy(service, image, offset, target, signal)) return
    if (!(await this.#hasRanges(service, image, signal))) {
      throw new NoRangesError(`${this.url} ${image.key}: the store of the image service sends no ranges`)
    }
    await service.objects.read(image, fileOf(service, image), offset, target, signal)
  }

  async readWhole(image: Image, take: TakeBytes, { signal }: ReadOptions): Promise<void> {
    const service = await this.#serviceNow(signal)
    await service.objects.readWhole(image, fileOf(service, image), take, signal)
  }

  async extentAt(image: Image, offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    const copy = this.#stores.known(idOfValidator(image.validator))
    return copy && (await copy.origin.extentAt(copy.image, offset, { signal }))
  }

  describe({ validator }: Image): ImageRecord['properties'] | null {
    return this.#properties.use(idOfValidator(validator)) ?? null
  }

  async digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    const service = await this.#serviceNow(signal)
    const record = await this.#recordOf(service, idOfValidator(image.validator), signal)
    if (record?.validator === image.validator) return record.digest
    throw changed(this.url, image)
  }

  async tell(image: Image, signal: CancelSignal) {
    const service = await this.#serviceNow(signal)
    const record = await this.#recordOf(service, idOfValidator(image.validator), signal)
    const told = record?.validator === image.validator ? record.locations : []
    const urls = told.map(location => {
      const isWeb = /^https?:/i.test(location)
      return { url: isWeb ? location : withoutKeys(location), isOrigins: this.#stores.has(location) }
    })
    return { service: service.base, urls }
  }

  close(): Promise<void> {
    this.#service?.objects.close()
    const closing = () => [this.#account.close(), this.#service?.client.close(), this.#stores.close()]
    this.#closing ??= Promise.all(closing()).then(() => {})
    return this.#closing
  }

  /** The service at the URL that it has now. */
  async #serviceNow(signal: CancelSignal): Promise<Service> {
    throwIfAborted(signal)
    const said = this.#said?.href ?? (await this.#account.endpointOf('image', signal))
    if (this.#closing !== null) throw new CacheError('closed', `${this.url}: the origin has been closed`)
    const href = `${said.replace(/\/(v2\/?)?$/, '')}/`
    if (this.#service?.base.href === href) return this.#service
    if (!URL.canParse(href)) throw new CacheError('origin-protocol', `${this.url}: its service is at no URL`)
    const base = new URL(href)
    const client = new HttpClient(base.origin, null, { ...this.#http, authorizer: this.#account.authorizer })
    const before = this.#service
    this.#service = {
      base,
      client,
      objects: new HttpObjects(this.url, client, this.#http.readers, { isNamedByContent: true }),
    }
    before?.objects.close()
    void before?.client.close().catch(() => {}) // Its requests end as they are.
    return this.#service
  }

  /** By id, or else by name. @throws CacheError not-found, origin-unsupported when several have the name */
  async #find(service: Service, key: string, signal: CancelSignal): Promise<ImageRecord> {
    const byId = isImageId(key) ? await this.#recordOf(service, key, signal) : null
    if (byId !== null) return byId
    const name = keyOfPath(key)
    const named: ImageRecord[] = []
    for await (const page of this.#pages(service, filterOf(name), 'lookup', signal)) {
      named.push(...page.filter(image => image.name === name))
    }
    if (named.length === 0) throw missing(this.url, key)
    if (named.length === 1) return named[0]!
    const ids = named.map(({ id }) => id).join(', ')
    throw new CacheError(
      'origin-unsupported',
      `${this.url}: ${JSON.stringify(key)} is the name of several images: ${ids}`,
    )
  }

  async *#pages(
    service: Service,
    filter: Readonly<Record<string, string>>,
    purpose: 'list' | 'lookup',
    signal: CancelSignal,
  ): AsyncGenerator<readonly ImageRecord[]> {
    const query = new URLSearchParams({ ...filter, status: 'active', limit: String(pageImagesMax) })
    let next: string | null = `v2/images?${query}`
    for (let pages = 0; next !== null; pages++) {
      if (pages > imagePagesMax) throw new CacheError('origin-protocol', `${this.url}: its listing has no end`)
      const page = pageOf(await this.#textOf(service, next, purpose, signal), service.base.href)
      for (const { id, properties } of page.images) this.#properties.set(id, properties)
      yield page.images
      next = page.next && nextOf(service.base, page.next)
    }
  }

  async #recordOf(service: Service, id: string, signal: CancelSignal): Promise<ImageRecord | null> {
    try {
      const record = recordOf(await this.#textOf(service, `v2/images/${id}`, 'lookup', signal), service.base.href)
      if (record) this.#properties.set(id, record.properties)
      return record
    } catch (error) {
      if (isCacheError(error, 'not-found')) return null
      throw error
    }
  }

  /** Null where there is no such image. */
  async #recordText(id: string, signal: CancelSignal): Promise<string | null> {
    try {
      return await this.#textOf(await this.#serviceNow(signal), `v2/images/${id}`, 'lookup', signal)
    } catch (error) {
      if (isCacheError(error, 'not-found')) return null
      throw error
    }
  }

  async #textOf(service: Service, path: string, purpose: 'list' | 'lookup', signal: CancelSignal): Promise<string> {
    const url = new URL(path, service.base)
    return await service.client.exchange({ method: 'GET', url, headers: {} }, signal, async (answer, watch) => {
      if (answer.status !== 200) throw failureOf(answer, purpose)
      const text = await receiveText(answer, imagePageBytesMax, watch)
      if (text !== null) return text
      throw new CacheError('origin-protocol', `${answer.place}: sent more than ${imagePageBytesMax} bytes`)
    })
  }

  /** The copy in a store, which need not answer where the service can send ranges itself; null: there is none. */
  async #copyOf(service: Service, record: ImageRecord, signal: CancelSignal): Promise<StoredCopy | null> {
    try {
      return this.#stores.known(record.id) ?? (await this.#stores.find(record, signal))
    } catch (error) {
      const facts = { key: record.id, sizeBytes: record.sizeBytes, validator: record.validator }
      if (isCacheError(error, 'aborted') || !(await this.#hasRanges(service, facts, signal))) throw error
      return null
    }
  }

  /** Read it from its store. @returns false when it is in none, or the service can do what its store could not */
  async #readCopy(service: Service, image: Image, offset: number, target: Uint8Array, signal: CancelSignal) {
    if (this.#stores.isEmpty) return false
    const id = idOfValidator(image.validator)
    let copy = this.#stores.known(id)
    if (copy === null) {
      const record = await this.#recordOf(service, id, signal)
      if (record?.validator !== image.validator) throw changed(this.url, image)
      copy = await this.#copyOf(service, record, signal)
    }
    if (copy === null) return false
    try {
      await copy.origin.read(copy.image, offset, target, { signal })
      return true
    } catch (error) {
      if (isCacheError(error, 'aborted')) throw error
      // It was put elsewhere, or is gone: the service knows at the next try.
      if (isCacheError(error, 'image-changed', 'not-found')) this.#stores.forget(id)
      if (await this.#hasRanges(service, image, signal)) return false
      throw error
    }
  }

  /** Asked for one byte, an image in a store without ranges is answered 400, or whole. */
  async #hasRanges(
    service: Service,
    image: Pick<Image, 'key' | 'sizeBytes' | 'validator'>,
    signal: CancelSignal,
  ): Promise<boolean> {
    const id = idOfValidator(image.validator)
    const known = image.sizeBytes === 0 ? true : this.#ranges.use(id)
    if (known !== undefined) return known
    let hasRanges = true
    try {
      await service.objects.readRange(image, fileOf(service, image), image.sizeBytes - 1, new Uint8Array(1), signal)
    } catch (error) {
      if (!isCacheError(error, 'origin-protocol')) throw error
      hasRanges = false
    }
    this.#ranges.set(id, hasRanges)
    return hasRanges
  }

  #sayShared(names: readonly string[]): void {
    const text = names.slice(0, 10).join(', ')
    if (text !== '' && text !== this.#shared) {
      const facts = { origin: this.url, names: names.length, first: text }
      this.#logger.warn(facts, 'several images have one name; they are shown by their ids')
    }
    this.#shared = text
  }
}

function charsOf(properties: ImageRecord['properties']): number {
  return Object.entries(properties).reduce((chars, [name, text]) => chars + name.length + text.length, 32)
}

function changed(url: string, { key }: Image): CacheError {
  return new CacheError('image-changed', `${url} ${key}: is no longer the version that was opened`)
}

/**
 * The filter of a listing for images of a name, and of some others. What stands before a colon is taken for an
 * operator, so that such a name is a list of values in quotes; one with quotes has no filter.
 * Source: Glance 25, glance/common/utils.py, split_filter_op and split_filter_value_for_quotes.
 */
function filterOf(name: string): Readonly<Record<string, string>> {
  if (!name.includes(':')) return { name }
  return name.includes('"') ? {} : { name: `in:"${name}"` }
}

/** The bytes of an image. */
function fileOf({ base }: Service, { validator }: Pick<Image, 'validator'>): URL {
  return new URL(`v2/images/${idOfValidator(validator)}/file`, base)
}

/** The next page, below the service's own URL. */
function nextOf(base: URL, next: string): string | null {
  const { search } = new URL(next, base)
  return search === '' ? null : `v2/images${search}`
}
