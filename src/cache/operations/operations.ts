/**
 * Operations for operators: verify, evict, promote, pin, explain. Images are named as status names them: `name`, or
 * `directory/name` where there are several origins.
 */
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { ComparedLocation } from '../../origin/locations/compare-locations.ts'
import type { ImageLocation } from '../../origin/locations/image-location.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { EvictedImage, EvictionProgress, Evictor } from '../evict/evictor.ts'
import type { HitSetStatus, HitSetTable } from '../evict/hit-set-table.ts'
import type { Pins } from '../evict/pins.ts'
import type { InflightTable } from '../fetch/inflight-table.ts'
import { profileBytesMax } from '../fetch/limits.ts'
import type { MountedOrigin } from '../fetch/origin-table.ts'
import type { Promoter } from '../fetch/promoter.ts'
import type { DigestVerifier } from '../integrity/digest-verifier.ts'
import { type VerificationProgress, type VerifiedImage, verifyImage } from '../integrity/verify-image.ts'
import { type CacheMode, keepsMisses } from '../modes/cache-mode.ts'
import type { ModeTable } from '../modes/mode-table.ts'
import type { Catalog } from '../names/catalog.ts'
import { type PlanBasis, planBasis } from '../plan/plan-basis.ts'
import type { UseSampler } from '../plan/use-sampler.ts'
import { BootProfile } from '../prefetch/boot-profile.ts'
import type { BootProfileRecorder } from '../prefetch/boot-profile-recorder.ts'
import { type ProfileFile, profileFileOf, rangesWithin } from '../prefetch/profile-file.ts'
import type { MissReader } from '../read/miss-reader.ts'
import { type BlockMap, type BlockMapOptions, blockMapOf } from './block-map.ts'
import { DeltaCopier } from './delta-copier.ts'
import { type DeltaReport, deltaOf } from './delta-cost.ts'
import { describeImage, type ImageDescription } from './describe-image.ts'
import { type DrainProgress, type EmptiedCache, EmptyCache } from './empty-cache.ts'
import { type Explanation, explain } from './explain-read.ts'
import { imageTemperatures, type Temperatures } from './image-temperatures.ts'
import { explainBytesMax } from './limits.ts'
import { type ComparisonProgress, LocationOperations } from './location-operations.ts'
import { type ModeEntry, ModeOperations, type ModeScope } from './mode-operations.ts'
import { NamedImages, type NamedOrigin, noImage } from './named-images.ts'
import type { PreloadBytes, PreloadedImage, PreloadProgress } from './preload-image.ts'
import { PromoteOperations } from './promote-operations.ts'

/** Long work tells its progress, and ends when its caller leaves. */
export interface LongOptions<P> {
  readonly signal: AbortSignal
  readonly onProgress: (progress: P) => void
}

export interface CacheOperationsContext {
  readonly origins: readonly (NamedOrigin & Pick<MountedOrigin, 'places' | 'seals'>)[]
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly catalog: Catalog
  readonly store: Store
  readonly index: Pick<IndexDatabase, 'profile' | 'putProfile'>
  readonly profiles: Pick<BootProfileRecorder, 'finish' | 'stateOf'>
  readonly reader: MissReader
  readonly fetches: InflightTable
  readonly promoter: Promoter
  readonly evictor: Evictor
  readonly digester: DigestVerifier
  readonly pins: Pins
  readonly modes: ModeTable
  /** Resolves when nothing goes on as the modes of before said. Never rejects. */
  modesChanged(): Promise<void>
  readonly hitSets: HitSetTable
  readonly sampler: UseSampler
  isOpen(image: Image): boolean
}

/** A boot profile, and the number of cold opens that it was learned from. */
export interface LearnedProfile {
  readonly openers: number
  readonly file: ProfileFile
}

export class CacheOperations {
  readonly #parts: CacheOperationsContext
  readonly #names: NamedImages
  readonly #modes: ModeOperations
  readonly #emptying: EmptyCache
  readonly #locations: LocationOperations
  /** Takes the blocks of upgraded names from their older versions. */
  readonly deltas: DeltaCopier
  readonly #promotion: PromoteOperations
  /** Fires when the cache closes. */
  readonly #stop = new AbortController()

  constructor(parts: CacheOperationsContext) {
    this.#parts = parts
    this.#names = new NamedImages(parts)
    const shared = { ...parts, names: this.#names, modesChanged: () => parts.modesChanged() }
    this.#modes = new ModeOperations(shared)
    this.#emptying = new EmptyCache(shared)
    const isKept = (image: Image) => keepsMisses(parts.modes.of(image)) && parts.digester.isSound(image)
    this.deltas = new DeltaCopier({ ...parts, isKept })
    this.#locations = new LocationOperations(shared)
    this.#promotion = new PromoteOperations(shared)
  }

  /** See {@link EmptyCache.evictAll}. */
  evictAll(origin: string | null, options: LongOptions<DrainProgress>): Promise<EmptiedCache> {
    return this.#emptying.evictAll(origin, options)
  }

  /** See {@link EmptyCache.drain}. */
  drain(origin: string | null, { signal, onProgress }: LongOptions<DrainProgress>): Promise<EmptiedCache> {
    return this.#emptying.drain(origin, { signal: AbortSignal.any([signal, this.#stop.signal]), onProgress })
  }

  /** See {@link LocationOperations.list}. */
  locations(image: string): Promise<ImageLocation[]> {
    return this.#locations.list(image, this.#stop.signal)
  }

  /** See {@link LocationOperations.compare}. */
  verifyLocations(image: string, { signal, onProgress }: LongOptions<ComparisonProgress>): Promise<ComparedLocation[]> {
    return this.#locations.compare(image, { signal: AbortSignal.any([signal, this.#stop.signal]), onProgress })
  }

  /** See {@link ModeOperations.list}. */
  modes(): ModeEntry[] {
    return this.#modes.list()
  }

  /** See {@link ModeOperations.set}. */
  setMode(scope: ModeScope, mode: CacheMode | null): Promise<ModeEntry[]> {
    return this.#modes.set(scope, mode, this.#stop.signal)
  }

  /** See {@link imageTemperatures}. */
  temperatures(): Promise<Temperatures> {
    return imageTemperatures(this.#names.known(), this.#parts)
  }

  /** See {@link planBasis}. */
  planBasis(): PlanBasis {
    return planBasis(this.#parts)
  }

  /** Hit sets of the origin in a directory; null is the root. */
  hitSetsOf(directory: string | null): HitSetStatus | null {
    const found = this.#parts.origins.find(each => each.directory === directory)
    return found ? this.#parts.hitSets.status(found.origin.url) : null
  }

  /**
   * Verify what the store holds, of one image or of all.
   * @param name null for all, versions that have no name any more too
   * @throws CacheError not-found, aborted, index-failed
   */
  async verify(name: string | null, options: LongOptions<VerificationProgress>): Promise<VerifiedImage[]> {
    const { store, digester } = this.#parts
    const known = this.#names.known().map(async ({ name: own, entry: { image } }) => ({
      name: own,
      // Of what is quarantined nothing is held, and its digest may fit by now.
      stored: store.find(image.id) ?? (digester.state(image) === 'mismatch' ? await store.use(image) : null),
    }))
    const named = await Promise.all(known)
    const isNamed = (stored: StoredImage) => named.some(candidate => candidate.stored === stored)
    const older = [...store.images()].filter(stored => !isNamed(stored))
    const all = [...named, ...older.map(stored => ({ name: `${stored.image.key} (older version)`, stored }))]
    const wanted = name === null ? all : named.filter(candidate => candidate.name === name)
    if (name !== null && wanted.length === 0) throw noImage(name)
    const found: VerifiedImage[] = []
    for (const { name: own, stored } of wanted) {
      if (stored) found.push(await verifyImage(own, stored, digester, options))
    }
    return found
  }

  /**
   * Evict all that is held of an image, open or not.
   * @throws CacheError not-found, invalid-argument (it is pinned), store-failed, aborted, index-failed
   */
  async evict(name: string, options: LongOptions<EvictionProgress>): Promise<EvictedImage> {
    const { store, pins, evictor } = this.#parts
    const { origin, own, entry } = this.#names.mustKnow(name)
    if (pins.has(origin, own)) {
      throw new CacheError('invalid-argument', `${name} is pinned and never evicted: "parentfs unpin" it first`)
    }
    if (!store.health.mayWrite) {
      const why = `the cache disk is ${store.health.state} (${store.health.reason})`
      throw new CacheError(
        'store-failed',
        `${name} is not evicted: ${why}: try again when "parentfs status" says healthy`,
      )
    }
    const stored = store.find(entry.image.id)
    if (!stored) return { name, objects: 0, bytes: 0, leftBytes: 0, leftBy: null }
    return evictor.evictImage(name, stored, options)
  }

  /** See {@link PromoteOperations.promote}. */
  promote(
    name: string,
    ranges: readonly PreloadBytes[] | null,
    { signal, onProgress }: LongOptions<PreloadProgress>,
  ): Promise<PreloadedImage> {
    const stop = AbortSignal.any([signal, this.#stop.signal])
    return this.#promotion.promote(name, ranges, { signal: stop, onProgress })
  }

  /** See {@link PromoteOperations.promoteImage}. */
  promoteImage(
    name: string,
    image: Image,
    ranges: readonly PreloadBytes[],
    { signal, onProgress }: LongOptions<PreloadProgress>,
  ): Promise<PreloadedImage> {
    const stop = AbortSignal.any([signal, this.#stop.signal])
    return this.#promotion.promoteImage(name, image, ranges, { signal: stop, onProgress })
  }

  /** The image of a name now. @throws CacheError not-found, origin-*, aborted */
  async imageOf(name: string): Promise<Image> {
    return (await this.#names.find(name, this.#stop.signal)).entry.image
  }

  /** See {@link deltaOf}. */
  delta(name: string): Promise<DeltaReport> {
    const { origin, own } = this.#names.place(name)
    const seals = this.#parts.origins.find(each => each.origin === origin)?.seals ?? null
    return deltaOf({ name, origin, own, seals }, this.#stop)
  }

  /** @throws CacheError not-found, invalid-argument (too much is pinned), origin-*, index-failed */
  async pin(name: string): Promise<void> {
    const { origin, own, entry } = await this.#names.find(name, this.#stop.signal)
    await this.#parts.pins.pin(origin, own, entry.image)
  }

  /** @throws CacheError not-found when it is not pinned, index-failed */
  async unpin(name: string): Promise<void> {
    const { origin, own } = this.#names.place(name)
    await this.#parts.pins.unpin(origin, own)
  }

  /**
   * Explain a read of `length` bytes at `offset`. The range is cut at the end of the image.
   * @throws CacheError not-found, invalid-argument, origin-*
   */
  async explain(name: string, offset: number, length: number): Promise<Explanation> {
    if (length > explainBytesMax || length < 1) {
      throw new CacheError('invalid-argument', `a read of ${length} bytes: give a length from 1 to ${explainBytesMax}`)
    }
    const { store, fetches, promoter, digester, pins } = this.#parts
    const { origin, own, entry } = await this.#names.find(name, this.#stop.signal)
    const { image, nodeId } = entry
    const facts = {
      name,
      origin: image.origin,
      imageId: image.id,
      nodeId: nodeId.toString(),
      validator: image.validator,
      toldBy: this.#parts.catalog.toldBy(image),
      sizeBytes: image.sizeBytes,
      offset,
      length: Math.max(0, Math.min(length, image.sizeBytes - offset)),
      digest: digester.state(image),
      mode: this.#parts.modes.of(image),
      pinned: pins.has(origin, own),
      open: this.#parts.isOpen(image),
      profile: this.#parts.profiles.stateOf(image),
    }
    const mayQueue = (bytes: number) => promoter.hasRoom(bytes)
    return explain({ facts, stored: store.find(image.id), store, fetches, mayQueue })
  }

  /** Facts about an image as it is known; no origin is asked. @throws CacheError not-found */
  describe(name: string): ImageDescription {
    const { origin, own, entry } = this.#names.mustKnow(name)
    const pinned = this.#parts.pins.has(origin, own)
    return describeImage({ ...this.#parts, name, entry, pinned, record: this.#parts.index.profile(origin.url, own) })
  }

  /** The cached blocks of a range of an image; no origin is asked. @throws CacheError not-found, aborted */
  async blockMap(name: string, options: BlockMapOptions): Promise<BlockMap> {
    const { store } = this.#parts
    const { image } = this.#names.mustKnow(name).entry
    return blockMapOf(image, store.find(image.id), store, options)
  }

  /**
   * The learned profile of an image, or of earlier versions of its name; null when there is none.
   * @param endsRecording what is being noted of it is kept first, and is part of the answer
   * @throws CacheError not-found, origin-*
   */
  async profile(name: string, endsRecording: boolean): Promise<LearnedProfile | null> {
    const { index, profiles, store } = this.#parts
    const { origin, own, entry } = await this.#names.find(name, this.#stop.signal)
    const stored = endsRecording ? store.find(entry.image.id) : null
    if (stored) await profiles.finish(stored)
    const record = index.profile(origin.url, own)
    return record && { openers: record.openers, file: profileFileOf(entry.image, record) }
  }

  /**
   * Replace the profile by one that was learned elsewhere: it is fetched at the next cold open.
   * @throws CacheError not-found, invalid-argument (none of it lies in the image), overloaded (no room), origin-*,
   * index-failed
   */
  async importProfile(name: string, file: ProfileFile): Promise<void> {
    const { index, store } = this.#parts
    const { origin, own, entry } = await this.#names.find(name, this.#stop.signal)
    const ranges = rangesWithin(file, entry.image.sizeBytes, profileBytesMax)
    const { record } = BootProfile.ofRanges(store.blockBytes, ranges)
    if (record.runs.length === 0) {
      throw new CacheError(
        'invalid-argument',
        `that is no boot profile of ${name}: it begins past the end of the image`,
      )
    }
    const write = () => index.putProfile(origin.url, own, record)
    if (await store.recordWithin(16 * record.runs.length, true, write)) return
    throw new CacheError('overloaded', 'the cache has no room for the profile: set a larger capacity')
  }

  /** End long work. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.deltas.close()
  }
}
