/**
 * Images as other hosts are served: by id, by name, or by origin and key; resident ranges at once, the rest by the miss
 * path.
 *
 * Nothing that another host reads starts read-ahead here, counts as a read of this host, or changes what its eviction
 * policy sees: see evict/foreign-objects.ts.
 */
import type { CancelSignal } from '../base/cancel-signal.ts'
import { CacheError } from '../base/errors.ts'
import { countOf, type Image, runsOf } from '../base/image.ts'
import type { ReadsInFlight } from '../fleet/asking/reads-in-flight.ts'
import { toldUnitsBytesMax, unitBlocks } from '../fleet/wire/wire.ts'
import type { IndexDatabase } from '../index/index-database.ts'
import type { StoreFile } from '../native/addon.ts'
import type { Store } from '../store/store.ts'
import type { ForeignObjects } from './evict/foreign-objects.ts'
import type { InflightTable } from './fetch/inflight-table.ts'
import type { OriginTable } from './fetch/origin-table.ts'
import type { ForwardedImages } from './forwarded-images.ts'
import type { DigestState, DigestVerifier } from './integrity/digest-verifier.ts'
import type { Catalog } from './names/catalog.ts'
import type { CacheOperations } from './operations/operations.ts'
import { formatProfileFile } from './prefetch/profile-file.ts'
import type { LendingReader } from './read/read-assembly.ts'

export interface ServedImagesContext {
  readonly index: Pick<IndexDatabase, 'sums' | 'digest'>
  readonly store: Store
  readonly catalog: Catalog
  readonly origins: OriginTable
  readonly fetches: Pick<InflightTable, 'overlapping'>
  readonly foreign: ForeignObjects
  readonly digester: Pick<DigestVerifier, 'state'>
  readonly operations: Pick<CacheOperations, 'profile'>
  readonly forwarding: Pick<ForwardedImages, 'redirectionOf'>
  /** See {@link Cache.read}. */
  read(image: Image, offset: number, length: number, options: ServedReadOptions): Promise<Uint8Array>
}

export interface ServedReadOptions extends LendingReader {
  readonly signal: CancelSignal
  /** Turns at the origin, see src/fleet/wire/wire.ts. */
  readonly opener?: number | undefined
}

/** An entry of a directory of names. */
export interface ServedEntry {
  readonly name: string
  readonly isDirectory: boolean
  /** Null: not known without asking the origin. */
  readonly image: Image | null
}

/** The group of this host. */
export interface ServedGroup {
  /** Reads of origins under way, and those that wait for a member. */
  readonly originReads: Pick<ReadsInFlight, 'covers' | 'rangesOf'>
  readonly memberReads: Pick<ReadsInFlight, 'touches'>
  /** Does this host know that a member has ranks? */
  hasRanks(memberId: string): boolean
  isOwn(memberId: string): boolean
  ranksBefore(memberId: string, imageId: string, unit: number): boolean
}

export class ServedImages {
  readonly #parts: ServedImagesContext
  /** Null: this host is in no group. */
  group: ServedGroup | null = null

  constructor(parts: ServedImagesContext) {
    this.#parts = parts
  }

  get blockBytes(): number {
    return this.#parts.store.blockBytes
  }

  /** Bytes that only other hosts read. */
  get foreignBytes(): number {
    return this.#parts.foreign.bytes
  }

  /** May missing blocks be brought for other hosts? */
  get mayBring(): boolean {
    return this.#parts.foreign.mayBring
  }

  /** An image by its id; null where it is not known. Nothing is asked. */
  byId(imageId: string): Image | null {
    return this.#parts.catalog.imageOfId(imageId)?.image ?? null
  }

  /**
   * The image that a key of an origin means now; null where that origin is not mounted.
   * @throws CacheError not-found, access-denied, image-too-large, origin-*, too-many-images, aborted
   */
  async byKey(origin: string, key: string, options: ServedReadOptions): Promise<Image | null> {
    const mounted = this.#parts.origins.shown.find(each => each.origin.url === origin)
    return mounted ? (await this.#parts.catalog.lookup(mounted.origin, key, options)).image : null
  }

  /**
   * The version that a key of an origin means now, by the word of the origin itself; null where that origin is not
   * mounted, or only a member has told it.
   * @throws CacheError not-found, access-denied, image-too-large, origin-*, too-many-images, aborted
   */
  async versionOf(origin: string, key: string, options: ServedReadOptions) {
    const image = await this.byKey(origin, key, options)
    return image && this.#parts.catalog.heardOf(image)
  }

  /**
   * The image of a name as the mount shows it.
   * @throws CacheError not-found, access-denied, image-too-large, origin-*, too-many-images, aborted
   */
  async byName(name: string, options: ServedReadOptions): Promise<Image> {
    const { catalog, origins } = this.#parts
    for (const { directory, origin } of origins.shown) {
      const own = directory === null ? name : name.startsWith(`${directory}/`) ? name.slice(directory.length + 1) : null
      if (own === null || (own.includes('/') && !origin.isHierarchical)) continue
      return (await catalog.lookup(origin, own, options)).image
    }
    throw new CacheError('not-found', `there is no image ${JSON.stringify(name)}`)
  }

  /**
   * The entries of a directory: empty for the root, else with a slash at its end.
   * @returns null where there is no such directory
   * @throws CacheError access-denied, origin-*, aborted
   */
  async list(path: string, options: ServedReadOptions): Promise<Iterable<ServedEntry> | null> {
    const { catalog, origins } = this.#parts
    const { directories } = origins
    if (path === '' && directories) return directories.map(name => ({ name, isDirectory: true, image: null }))
    for (const { directory, origin } of origins.shown) {
      const prefix =
        directory === null ? path : path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : null
      if (prefix === null || (prefix !== '' && !origin.isHierarchical)) continue
      const names = await catalog.list(origin, options)
      return entriesBelow(prefix, names, name => catalog.imageOfName(origin, name)?.image ?? null)
    }
    return null
  }

  /** See {@link ForwardedImages.redirectionOf}. */
  redirectionOf(image: Image, reaches: (url: string) => boolean): string | null {
    return this.#parts.forwarding.redirectionOf(image, reaches)
  }

  /** Bytes of an image that are here. */
  residence(image: Image): { readonly residentBytes: number; readonly complete: boolean } {
    const stored = this.#parts.store.find(image.id)
    if (!stored) return { residentBytes: 0, complete: image.sizeBytes === 0 }
    return { residentBytes: stored.heldBytes, complete: stored.complete }
  }

  /** Can this range be read without the origin, by our own account? */
  isHeld(image: Image, offset: number, length: number): boolean {
    const stored = this.#parts.store.find(image.id)
    if (!stored) return length === 0
    return stored.geometry.parts(offset, length).every(part => (part.blocks & ~stored.held(part.object)) === 0n)
  }

  /**
   * Are the missing blocks of this range in memory, or being read from the origin? A read of it then asks no other
   * host.
   */
  isComing(image: Image, offset: number, length: number): boolean {
    const { store, fetches } = this.#parts
    const stored = store.find(image.id)
    if (!stored) return false
    return stored.geometry.parts(offset, length).every(({ object, blocks }) => {
      const arrived = fetches.overlapping(stored, object, blocks).filter(({ hasArrived }) => hasArrived)
      const lacking = blocks & ~stored.held(object) & ~stored.file.comingBlocks(object)
      const missing = arrived.reduce((mask, fetch) => mask & ~fetch.blocks, lacking)
      return runsOf(missing).every(run => {
        const { offset: from, length: bytes } = stored.geometry.bytesOf(object, run)
        return this.group?.originReads.covers(image.id, from, bytes) === true
      })
    })
  }

  /** Does a read that goes on here wait for a member to bring any of this range? */
  waitsForMember(image: Image, offset: number, length: number): boolean {
    return this.group?.memberReads.touches(image.id, offset, length) === true
  }

  /** Is that the member that this host is? */
  isOwn(memberId: string): boolean {
    return this.group?.isOwn(memberId) === true
  }

  /** See {@link FleetGroup.ranksBefore}. */
  ranksBefore(memberId: string, { id }: Image, offset: number): boolean {
    return this.group?.ranksBefore(memberId, id, Math.floor(offset / (unitBlocks * this.blockBytes))) === true
  }

  /**
   * The units of an image that are here or on their way from the origin, a bit each, for a member that owns some since
   * lately.
   * @returns null where this host does not know of that member yet, or the image is too large
   */
  unitsFor(memberId: string, image: Image): Uint8Array | null {
    const { group } = this
    const unitBytes = unitBlocks * this.blockBytes
    const bytes = Math.ceil(image.sizeBytes / unitBytes / 8)
    if (!group?.hasRanks(memberId) || bytes > toldUnitsBytesMax) return null
    const units = Buffer.alloc(bytes)
    const set = (from: number, to: number) => {
      for (let unit = Math.floor(from / unitBytes); unit * unitBytes < to; unit++) units[unit >> 3]! |= 1 << (unit & 7)
    }
    for (const { from, to } of group.originReads.rangesOf(image.id)) set(from, to)
    const stored = this.#parts.store.find(image.id)
    for (let object = 0; stored && object < stored.geometry.objects; object++) {
      const all = stored.geometry.blocksOf(object)
      const coming = this.#parts.fetches.overlapping(stored, object, all).filter(({ hasArrived }) => hasArrived)
      const here = stored.held(object) | stored.file.comingBlocks(object)
      for (const run of runsOf(coming.reduce((mask, { blocks }) => mask | blocks, here))) {
        const { offset, length } = stored.geometry.bytesOf(object, run)
        set(offset, offset + length)
      }
    }
    return units
  }

  /**
   * The data file with a range that is held, for reads of native threads; its foreign objects are used now.
   * @returns null where it is not held
   */
  fileOf(image: Image, offset: number, length: number): StoreFile | null {
    const stored = this.#parts.store.find(image.id)
    if (!stored || length === 0 || !this.isHeld(image, offset, length)) return null
    for (const { object } of stored.geometry.parts(offset, length))
      this.#parts.foreign.touch(stored, object, this.#parts.store.tick)
    return stored.file
  }

  /** Is the object one that only other hosts read? */
  isForeign(image: Image, object: number): boolean {
    return this.#parts.foreign.has(image.id, object)
  }

  /** @throws CacheError aborted, image-changed, image-corrupt, origin-*, closed */
  async read(image: Image, offset: number, length: number, options: ServedReadOptions): Promise<Uint8Array> {
    const stored = await this.#parts.store.use(image)
    const work = () => this.#parts.read(image, offset, length, options)
    if (!stored) return work()
    const objects = stored.geometry.parts(offset, length).map(({ object }) => object)
    return this.#parts.foreign.reading(stored, objects, work)
  }

  /** The recorded checksums of the blocks of an object; null for blocks without one. */
  sums(image: Image, object: number): (number | null)[] {
    const stored = this.#parts.store.find(image.id)
    const recorded = this.#parts.index.sums(image.id, object)
    if (!stored || !recorded) return []
    const known = stored.held(object) & recorded.blocks
    return Array.from({ length: countOf(stored.geometry.blocksOf(object)) }, (_, block) =>
      (known >> BigInt(block)) & 1n ? recorded.sums[block]! : null,
    )
  }

  /** Runs of an object that are held, from its first block on. */
  heldRuns(image: Image, object: number) {
    const stored = this.#parts.store.find(image.id)
    return stored ? runsOf(stored.held(object) & stored.geometry.blocksOf(object)) : []
  }

  /** Complete images whose bytes were compared with their publisher's digest. */
  *verifiedCopies(): Generator<Image> {
    for (const { image, complete } of this.#parts.store.images()) {
      if (complete && this.#parts.digester.state(image) === 'verified') yield image
    }
  }

  /** The publisher's digest, where all bytes were compared with it. */
  verifiedDigest(image: Image): { readonly algorithm: string; readonly hex: string } | null {
    const state: DigestState = this.#parts.digester.state(image)
    if (state !== 'verified') return null
    const { algorithm, published } = this.#parts.index.digest(image.id) ?? { algorithm: null, published: null }
    return algorithm !== null && published !== null ? { algorithm, hex: published } : null
  }

  /**
   * The boot profile that was learned of a name, as a file beside the image, for clients that know it by `validator`.
   * @throws CacheError not-found, origin-*
   */
  async profileOf(name: string, validator: string): Promise<string | null> {
    const learned = await this.#parts.operations.profile(name, false)
    return learned && formatProfileFile({ ...learned.file, validator })
  }
}

/** The entries directly below a prefix; those of deeper names once, as directories. */
function* entriesBelow(
  prefix: string,
  names: Iterable<string>,
  imageOf: (name: string) => Image | null,
): Generator<ServedEntry> {
  const seen = new Set<string>()
  for (const name of names) {
    if (!name.startsWith(prefix)) continue
    const own = name.slice(prefix.length)
    const slash = own.indexOf('/')
    if (slash < 0) yield { name: own, isDirectory: false, image: imageOf(name) }
    else if (!seen.has(own.slice(0, slash))) {
      seen.add(own.slice(0, slash))
      yield { name: own.slice(0, slash), isDirectory: true, image: null }
    }
  }
}
