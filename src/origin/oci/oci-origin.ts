/**
 * A repository of a registry as an origin: `oci://registry/repository:tag`, the disks of one manifest, or without a tag
 * those of every tag.
 *
 * A blob is read by ranges at its digest, which is the validator: an image stays what it is when its tag moves, and a
 * lookup after that finds the new one.
 */
import { callSafely } from '../../async/on-settled.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { StreamDecoders } from '../../native/stream-decoder.ts'
import type { Digest } from '../contract/digest.ts'
import { isImageKey } from '../contract/image-name.ts'
import { NoRangesError } from '../contract/no-ranges-error.ts'
import type { FoundImage, Origin, OriginExtent, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { HttpClient, type HttpOptions, httpOptionsDefault } from '../http/http-client.ts'
import { HttpObjects, missing } from '../http/http-objects.ts'
import {
  type BlobPart,
  type Disk,
  digestOfPart,
  disksOf,
  isWhole,
  type LayerReader,
  partOfValidator,
  validatorOfPart,
} from './disks.ts'
import { listedTagsMax, manifestsKeptMax, tagNamesMs, tagsAtOnceMax } from './limits.ts'
import type { Descriptor, Platform } from './manifest.ts'
import type { OciOptions } from './oci-options.ts'
import { homeOf, isTag, loginNamesOf, type OciPlace, ociPlaceOf, ociUrlOf } from './oci-url.ts'
import { chosenOf, hostPlatform, platformText } from './platform.ts'
import { type NamedManifest, Registry, registryErrorIn } from './registry.ts'
import { RegistryAuthorizer } from './registry-authorizer.ts'
import { RegistryLogin } from './registry-login.ts'
import { headOfLayer, type ReadBlob, streamDisk, verified } from './unpacked-layer.ts'

/** The disks of one manifest or index. */
interface KnownDisks {
  readonly disks: readonly Disk[]
  readonly createdMs: number
}

export class OciOrigin implements Origin {
  readonly url: string
  readonly isHierarchical = true
  readonly #place: OciPlace
  readonly #platform: Platform
  readonly #diskType: string | null
  readonly #client: HttpClient
  readonly #authorizer: RegistryAuthorizer
  readonly #registry: Registry
  readonly #objects: HttpObjects
  /** By the digest of their manifest or index. */
  readonly #known = new LruMap<string, KnownDisks>(manifestsKeptMax)
  /** For listings alone: the names behind a tag. */
  readonly #tagNames = new LruMap<string, { readonly names: readonly string[]; readonly untilMs: number }>(
    listedTagsMax,
  )
  readonly #takesSequential: boolean
  readonly #decoders: StreamDecoders | null
  /** Has a blob of this registry been read by a range? */
  #sendsRanges = false
  /** The last read image is read next. */
  #latest: { readonly image: Image; readonly url: URL; readonly part: BlobPart } | null = null

  /**
   * @param url `oci://registry[:port]/repository[:tag|@digest]`
   * @throws CacheError invalid-argument
   */
  constructor(
    url: string,
    { platform, diskType, isInsecure, decoders, login }: OciOptions,
    options: Partial<HttpOptions> = {},
  ) {
    this.#place = ociPlaceOf(url)
    this.url = ociUrlOf(this.#place)
    this.#platform = platform ?? hostPlatform()
    this.#diskType = diskType
    this.#decoders = decoders
    const home = homeOf(this.#place, isInsecure)
    const http = { ...httpOptionsDefault, ...options, readError: registryErrorIn }
    this.#takesSequential = http.takesSequential
    const { repository } = this.#place
    const logins = new RegistryLogin(login, loginNamesOf(this.#place), login.secrets)
    this.#authorizer = new RegistryAuthorizer(home, repository, logins, http)
    this.#client = new HttpClient(home.origin, null, { ...http, authorizer: this.#authorizer })
    this.#registry = new Registry(this.#client, home, repository)
    this.#objects = new HttpObjects(this.url, this.#client, http.readers, { isNamedByContent: true })
  }

  async list({ signal }: ReadOptions): Promise<readonly string[]> {
    throwIfAborted(signal)
    const { reference } = this.#place
    if (reference !== null) return (await this.#disksOf(reference, signal)).disks.map(({ name }) => name)
    const tags = await this.#registry.tags(listedTagsMax, signal)
    const names: (readonly string[])[] = []
    const waiting = tags.entries()
    const work = async () => {
      for (const [at, tag] of waiting) names[at] = await this.#namesOf(tag, signal)
    }
    await Promise.all(Array.from({ length: tagsAtOnceMax }, work))
    return names.flat()
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<FoundImage> {
    throwIfAborted(signal)
    if (!isImageKey(key)) throw missing(this.url, key)
    const { disks, createdMs } = await this.#disksOf(this.#place.reference ?? this.#tagOf(key), signal)
    const disk = disks.find(disk => this.#keyOf(disk, disks, key) === key)
    if (disk === undefined) throw missing(this.url, key)
    const { sizeBytes, part } = disk
    const validator = validatorOfPart(part, sizeBytes)
    const facts = { origin: this.url, key, sizeBytes, validator, modifiedMs: createdMs }
    return (await this.#isSequential(part, sizeBytes, signal)) ? { ...facts, isSequential: true } : facts
  }

  read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    if (target.length === 0) return Promise.resolve()
    return callSafely(() => {
      const { url, part } = this.#blobOf(image)
      if (part.packing !== null) throw new NoRangesError(`${this.url}: ${image.key} is compressed, and has no ranges`)
      // Native threads ask for ranges of the image: those of a part of a blob lie elsewhere.
      if (isWhole(part, image.sizeBytes)) return this.#objects.read(image, url, offset, target, signal)
      return this.#objects.readRange(versionOf(part), url, part.offset + offset, target, signal)
    })
  }

  readWhole(image: Image, take: TakeBytes, { signal }: ReadOptions): Promise<void> {
    if (signal.aborted) return Promise.reject(abortedBy(signal))
    return callSafely(() => {
      const { url, part } = this.#blobOf(image)
      const read: ReadBlob = take => this.#objects.readWhole(versionOf(part), url, take, signal)
      const { packing } = part
      const options = { place: this.url, decoders: this.#decoders }
      if (packing !== null) return streamDisk(read, { ...part, packing }, image.sizeBytes, take, options)
      return verified(read, part.digest, this.url, checked => checked(take))
    })
  }

  async extentAt(_image: Image, _offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    return null
  }

  async digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    throwIfAborted(signal)
    return digestOfPart(this.#blobOf(image).part, image.sizeBytes)
  }

  async close(): Promise<void> {
    this.#objects.close()
    this.#authorizer.close()
    await this.#client.close()
  }

  /** The tag of a key, `TAG` or `TAG/NAME`. @throws CacheError not-found */
  #tagOf(key: string): string {
    const [tag] = key.split('/') as [string]
    if (isTag(tag)) return tag
    throw missing(this.url, key)
  }

  /** @param tag where the URL names none: the key begins with it */
  #keyOf({ name }: Disk, disks: readonly Disk[], tag: string): string {
    if (this.#place.reference !== null) return name
    const [first] = tag.split('/') as [string]
    return disks.length === 1 ? first : `${first}/${name}`
  }

  /** The keys behind a tag, for a listing; none where it has no disk that can be read. */
  async #namesOf(tag: string, signal: CancelSignal): Promise<readonly string[]> {
    const known = this.#tagNames.get(tag)
    if (known && performance.now() < known.untilMs) return known.names
    const names = await this.#disksOf(tag, signal).then(
      ({ disks }) => disks.map(disk => this.#keyOf(disk, disks, tag)),
      error => {
        if (isCacheError(error, 'not-found', 'origin-unsupported')) return []
        throw error
      },
    )
    this.#tagNames.set(tag, { names, untilMs: performance.now() + tagNamesMs })
    return names
  }

  /** @throws CacheError as Origin.lookup */
  async #disksOf(reference: string, signal: CancelSignal): Promise<KnownDisks> {
    const digest = await this.#registry.digestOf(reference, signal)
    const known = digest === null ? undefined : this.#known.use(digest)
    if (known) return known
    const named = await this.#registry.manifest(digest ?? reference, signal)
    const found = await this.#disksIn(named, reference, signal)
    this.#known.set(named.digest, found)
    return found
  }

  async #disksIn(named: NamedManifest, reference: string, signal: CancelSignal): Promise<KnownDisks> {
    const place = ociUrlOf({ ...this.#place, reference })
    const { manifest } = named
    const found: Disk[] = []
    let createdMs = 0
    const defaultName = this.#place.repository.split('/').at(-1)!
    const chosen = manifest.kind === 'index' ? chosenOf(manifest.manifests, this.#platform, this.#diskType) : [null]
    for (const entry of chosen) {
      const inner = entry === null ? manifest : (await this.#registry.manifest(entry.digest, signal)).manifest
      if (inner.kind === 'index') throw unsupported(place, 'an index in an index is not read')
      found.push(...(await disksOf(inner.layers, place, defaultName, this.#layerReader(signal))))
      createdMs = Math.max(createdMs, inner.createdMs)
    }
    if (chosen.length === 0) throw unsupported(place, `it has nothing for ${this.#wanted()}`)
    const names = new Set(found.map(({ name }) => name))
    if (names.size === found.length) return { disks: found, createdMs }
    throw unsupported(place, `it has several disks of one name for ${this.#wanted()}: set platform or diskType`)
  }

  /** The layers of a manifest, for the search of disks in them. */
  #layerReader(signal: CancelSignal): LayerReader {
    const placeOf = ({ digest, sizeBytes }: Descriptor) =>
      [{ sizeBytes, validator: digest }, this.#registry.blob(digest)] as const
    return {
      ranges: layer => (offset, target) => this.#objects.readRange(...placeOf(layer), offset, target, signal),
      head: (layer, packing) => {
        const read: ReadBlob = take => this.#objects.readWhole(...placeOf(layer), take, signal)
        return headOfLayer(read, packing, { place: `${this.url}: layer ${layer.digest}`, decoders: this.#decoders })
      },
    }
  }

  /** Can it be read from the front alone? @throws CacheError origin-unsupported where such images are not taken */
  async #isSequential(part: BlobPart, sizeBytes: number, signal: CancelSignal): Promise<boolean> {
    if (sizeBytes === 0 || (this.#sendsRanges && part.packing === null)) return false
    const why =
      part.packing !== null
        ? 'its layer is compressed'
        : await this.#objects.whyNoRanges(versionOf(part), this.#registry.blob(part.digest), signal)
    if (why === null) this.#sendsRanges = true
    else if (!this.#takesSequential) throw unsupported(this.url, why)
    return why !== null
  }

  #wanted(): string {
    return platformText(this.#platform) + (this.#diskType === null ? '' : `, disktype ${this.#diskType}`)
  }

  /** @throws CacheError image-changed for an image that was not of this registry */
  #blobOf(image: Image): { readonly url: URL; readonly part: BlobPart } {
    if (this.#latest?.image === image) return this.#latest
    const part = partOfValidator(image.validator, image.sizeBytes)
    if (part === null) throw new CacheError('image-changed', `${this.url}: has no version ${image.validator}`)
    this.#latest = { image, url: this.#registry.blob(part.digest), part }
    return this.#latest
  }
}

function versionOf({ blobBytes, digest }: BlobPart) {
  return { sizeBytes: blobBytes, validator: digest }
}

function unsupported(place: string, why: string): CacheError {
  return new CacheError('origin-unsupported', `${place}: cannot be served: ${why}`)
}
