/**
 * Catalog of names and images: the version of an image that a name means now, and the node id that a version keeps for
 * ever.
 *
 * Every answer to the kernel is recorded first. The origin is asked again for a name when it is looked up and the last
 * answer is not fresh any more. Starting up counts as having asked, so that a warm restart asks the origin nothing. An
 * origin that is away leaves names and attributes as the index knows them.
 *
 * In a group, a member may tell a version where the origin does not answer and the name is new here. The origin is
 * asked once it answers.
 *
 * A superseded version is one that the origin has replaced by another, or whose name the origin denies: an origin that
 * is away denies nothing, and a name that is missing in a listing is asked for before it goes.
 */

import { SingleFlight } from '../../async/single-flight.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { hopsMax, isForeignOpener, openerOfHops } from '../../fleet/wire/wire.ts'
import type { ImageEntry, IndexDatabase } from '../../index/index-database.ts'
import type { Origin, ReadOptions } from '../../origin/contract/origin.ts'
import { ImageRefcounts } from './image-refcounts.ts'
import { IndexWriteQueue, type RecordingStore } from './index-write-queue.ts'
import { KnownImages, type TrackedImage } from './known-images.ts'
import { absentMsMax, knownImagesMax, revalidateMsMax } from './limits.ts'
import { ListingCache } from './listing-cache.ts'
import { NameTable } from './name-table.ts'
import { NamesToRecheck } from './names-to-recheck.ts'
import { NegativeNames } from './negative-names.ts'
import { logUnanswered, noAnswer } from './unanswered-lookups.ts'

export interface CatalogOptions {
  readonly index: IndexDatabase
  /** Has the ceiling. */
  readonly store: RecordingStore
  readonly logger: Logger
  /** The time for which an origin's answer about names counts as fresh. */
  freshMs(origin: Pick<Origin, 'url'>): number
  /** Node ids up to this one belong to directories. */
  readonly reservedNodeIds: bigint
  /** Other than the default. */
  readonly knownImagesMax?: number
  /** Have at least one image go. @throws CacheError too-many-images, aborted */
  makeRoom(signal: CancelSignal): Promise<void>
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export class Catalog {
  readonly #options: CatalogOptions
  readonly #startedMs: number
  // INVARIANT: #images.size <= #imagesMax, but for what an index of before has until it is let go.
  readonly #images: KnownImages
  readonly #imagesMax: number
  /** Images whose lookup has not ended. */
  readonly #lookedUp = new ImageRefcounts()
  readonly #names = new NameTable()
  readonly #absent: NegativeNames
  readonly #listings: ListingCache
  readonly #lookups = new SingleFlight<ImageEntry>()
  readonly #recorder: IndexWriteQueue
  /** Ids of the versions that have no name. */
  readonly #superseded: Set<string>
  readonly #toRecheck: NamesToRecheck

  constructor(options: CatalogOptions) {
    this.#options = options
    this.#startedMs = options.now()
    this.#images = new KnownImages(options.reservedNodeIds)
    this.#absent = new NegativeNames(options.now)
    this.#imagesMax = options.knownImagesMax ?? knownImagesMax
    this.#recorder = new IndexWriteQueue(options.store, options.logger)
    this.#listings = new ListingCache({
      ...options,
      recorder: this.#recorder,
      isFresh: (origin, checkedMs) => this.#isFresh(origin, checkedMs),
      known: origin => this.#names.of(origin),
      onVanished: (origin, name) => this.#toRecheck.add(origin, name),
    })
    this.#toRecheck = new NamesToRecheck({
      ...options,
      ask: (origin, name, signal) => this.#askOnce(origin, name, { signal, opener: openerOfHops(hopsMax) }),
    })
    const entries = options.index.images()
    for (const entry of entries) this.#images.remember(entry)
    this.#superseded = new Set(this.#images.ids())
    for (const url of new Set(entries.map(({ image }) => image.origin))) {
      for (const { name, imageId } of options.index.names(url)) {
        const entry = this.#images.find(imageId)
        if (!entry) continue
        this.#names.set({ url }, name, { entry, checkedMs: this.#startedMs, heardMs: null, toldBy: null })
        this.#superseded.delete(imageId)
      }
    }
  }

  /** Images that are known, of all versions. */
  get size(): number {
    return this.#images.size
  }

  /** Images beyond the limit. */
  get excess(): number {
    return this.#images.size - this.#imagesMax
  }

  /** See {@link KnownImages.all}. */
  byUse(): Iterable<TrackedImage> {
    return this.#images.all()
  }

  /** Versions that have no name, in the order in which they lost it. */
  superseded(): ImageEntry[] {
    return [...this.#superseded].flatMap(id => this.#images.find(id) ?? [])
  }

  isSuperseded(imageId: string): boolean {
    return this.#superseded.has(imageId)
  }

  /** Does the name under which this version was known mean nothing at all now? */
  hasLostName({ image }: ImageEntry): boolean {
    return this.#names.get({ url: image.origin }, image.key) === null
  }

  /** A superseded version is retired: it is not known from now on. */
  forget(entry: ImageEntry): void {
    const { image } = entry
    this.#images.forget(entry)
    this.#superseded.delete(image.id)
    this.#recorder.drop(imageKey(image.id))
  }

  /** It could not be retired; unless it has come back meanwhile, it is known as before. */
  reinstate(entry: ImageEntry): void {
    if (this.#images.find(entry.image.id)) return
    this.#images.remember(entry)
    this.#superseded.add(entry.image.id)
  }

  /** This image is being used: it goes after unused ones. */
  use({ id }: Image): void {
    this.#images.use(id)
  }

  /** Has it its name, without a use or a lookup since? */
  mayLetGo(known: TrackedImage): boolean {
    const { id } = known.entry.image
    return this.#images.isUnusedSince(known) && !this.#superseded.has(id) && !this.#lookedUp.has(id)
  }

  /**
   * An image goes with its name: neither is known from now on.
   * @returns `recorded` resolves when the name is in the index no more; `undo` is for an image that stays after all
   */
  letGo(entry: ImageEntry): { readonly recorded: Promise<void>; undo(): void } {
    const { origin: url, key: name } = entry.image
    const key = `${url} ${name}`
    this.forget(entry)
    const named = this.#names.get({ url }, name)
    this.#names.delete({ url }, name)
    this.#toRecheck.drop({ url }, name)
    this.#recorder.drop(key)
    const undo = () => {
      if (this.#images.find(entry.image.id)) return // It has come back meanwhile.
      this.reinstate(entry)
      if (!named || this.#names.get({ url }, name)) return
      this.#superseded.delete(entry.image.id)
      this.#names.set({ url }, name, named)
      void this.#recordName(url, name, entry.image.id).catch(() => {}) // The index is closed: it has what it had.
    }
    return { recorded: this.#options.index.removeName(url, name), undo }
  }

  /** Is this image in the index? Blocks of one that is not would be lost at the next start. */
  isRecorded({ id }: Image): boolean {
    return this.#images.find(id) !== null && !this.#recorder.has(imageKey(id))
  }

  /** Try again what could not be written, and ask for the names that went from a listing. */
  async catchUp(signal: CancelSignal): Promise<void> {
    await this.#recorder.retry()
    await this.#toRecheck.ask(signal)
  }

  imageOfNode(nodeId: bigint): ImageEntry | null {
    return this.#images.ofNode(nodeId)
  }

  /** The image of an id, if it is known; nothing is asked. */
  imageOfId(imageId: string): ImageEntry | null {
    return this.#images.find(imageId)
  }

  /** The image of a name, as far as is known; the origin is not asked. */
  imageOfName(origin: Origin, name: string): ImageEntry | null {
    return this.#names.get(origin, name)?.entry ?? null
  }

  /** The same for a reader of a listing, which may use it now. */
  imageShown(origin: Origin, name: string): ImageEntry | null {
    const entry = this.imageOfName(origin, name)
    if (entry) this.use(entry.image)
    return entry
  }

  /** The names of an origin that mean something, with what they mean, sorted; nothing is asked. */
  known(origin: Origin): { name: string; entry: ImageEntry }[] {
    return this.#names.sorted(origin)
  }

  /**
   * The image that `name` means now.
   * @throws CacheError not-found, access-denied, image-too-large, origin-*, too-many-images, aborted
   */
  async lookup(origin: Origin, name: string, { signal, opener }: ReadOptions): Promise<ImageEntry> {
    const named = this.#names.get(origin, name)
    if (named) this.use(named.entry.image)
    if (named && this.#isFresh(origin, named.checkedMs)) return named.entry
    if (this.absentMs(origin, name) > 0) throw new CacheError('not-found', `${name}: it was not there a moment ago`)
    const asked = this.#askOnce(origin, name, { signal, opener })
    if (!named) return asked
    try {
      return await withTimeout(revalidateMsMax, asked, () => noAnswer(name))
    } catch (error) {
      if (isCacheError(error, ...answers)) throw error
      logUnanswered(this.#options.logger, { origin: origin.url, name, err: error })
      named.checkedMs = this.#options.now()
      return named.entry
    }
  }

  /** The time for which this name is absent without being asked for again; 0 when it is asked for, or there. */
  absentMs({ url }: Origin, name: string): number {
    return this.#absent.msLeft(`${url} ${name}`)
  }

  /** The names of an origin now. @throws CacheError access-denied, origin-*, aborted */
  list(origin: Origin, options: ReadOptions): Promise<readonly string[]> {
    return this.#listings.list(origin, options)
  }

  /** The names that it listed last, in this run or before; null: none are recorded. It is not asked. */
  recordedList(origin: Origin, signal: CancelSignal): Promise<readonly string[] | null> {
    return this.#listings.recorded(origin, signal)
  }

  /** Listings that had more names than are shown. */
  get cutListings(): number {
    return this.#listings.cut
  }

  /** A read found that the origin has another version: ask at the next lookup, whatever was asked before. */
  imageChanged(image: Image): void {
    this.#names.doubt({ image })
  }

  /** The word of the origin itself about the version that the name of an image means; null where there is none. */
  heardOf(image: Image): { readonly image: Image; readonly ageMs: number | null; readonly isFresh: boolean } | null {
    const origin = { url: image.origin }
    const named = this.#names.get(origin, image.key)
    if (!named || named.toldBy !== null) return null
    const ageMs = named.heardMs === null ? null : this.#options.now() - named.heardMs
    const isFresh = ageMs !== null && ageMs < this.#options.freshMs(origin)
    return { image: named.entry.image, ageMs, isFresh }
  }

  /** The member by whose word a version is; null: the origin has named it. */
  toldBy({ origin, key, id }: Image): string | null {
    const named = this.#names.get({ url: origin }, key)
    return named?.entry.image.id === id ? named.toldBy : null
  }

  /** @param opener the reader whose turn it takes: the first one's, of those that ask for it at the same time */
  #askOnce(origin: Origin, name: string, { signal, opener }: ReadOptions): Promise<ImageEntry> {
    const ask = (shared: CancelSignal) => this.#ask(origin, name, { signal: shared, opener })
    // Members are asked by readers of this host alone.
    const who = isForeignOpener(opener) ? 'others' : 'own'
    return this.#lookups.run(`${who} ${origin.url} ${name}`, signal, ask)
  }

  async #ask(origin: Origin, name: string, options: ReadOptions): Promise<ImageEntry> {
    const { index } = this.#options
    const key = `${origin.url} ${name}`
    try {
      const { toldBy = null, ...facts } = await origin.lookup(name, options)
      // The index answers in place of an origin that is away, and before members.
      if (toldBy !== null && this.#names.get(origin, name)) throw noAnswer(name)
      const image = identify(facts)
      while (this.#images.find(image.id) === null && this.excess >= 0) await this.#options.makeRoom(options.signal)
      this.#lookedUp.begin(image.id)
      try {
        return await this.#found(origin, name, image, toldBy)
      } finally {
        this.#lookedUp.end(image.id)
      }
    } catch (error) {
      if (isCacheError(error, 'not-found')) {
        const before = this.#names.get(origin, name)?.entry.image.id
        const remove = () => index.removeName(origin.url, name)
        this.#names.delete(origin, name)
        this.#absent.add(key, Math.min(absentMsMax, this.#options.freshMs(origin)))
        if (index.name(origin.url, name) !== null) await this.#recorder.record(key, 0, true, remove)
        if (before !== undefined) this.#superseded.add(before)
      }
      throw error
    }
  }

  async #found(origin: Origin, name: string, image: Image, toldBy: string | null): Promise<ImageEntry> {
    const before = this.#names.get(origin, name)?.entry.image.id
    this.#superseded.delete(image.id) // In the iteration in which it is found: it must not be retired any more.
    const known = this.#images.find(image.id)
    const entry = known ?? this.#admit(image)
    const bytes = JSON.stringify(image).length
    const put = () => this.#options.index.putImage(entry)
    // Asked for in this order, and waited for together: a disk that hangs costs its time once.
    await Promise.all([
      known || this.#recorder.record(imageKey(image.id), bytes, true, put),
      before === image.id || this.#recordName(origin.url, name, image.id),
    ])
    const named = this.#names.get(origin, name)
    if (toldBy !== null && named) {
      // The origin has answered meanwhile.
      if (named.entry !== entry) this.#superseded.add(image.id)
      await this.#recordName(origin.url, name, named.entry.image.id)
      return named.entry
    }
    // Not the one of before: another version may have come meanwhile, and been the name's.
    if (named && named.entry !== entry) this.#superseded.add(named.entry.image.id)
    const checkedMs = this.#options.now()
    this.#names.set(origin, name, { entry, checkedMs, heardMs: toldBy === null ? checkedMs : null, toldBy })
    if (toldBy === null) this.#toRecheck.drop(origin, name)
    else this.#toRecheck.add(origin, name)
    this.#absent.delete(`${origin.url} ${name}`)
    this.use(image)
    return entry
  }

  #recordName(url: string, name: string, imageId: string): Promise<void> {
    const key = `${url} ${name}`
    return this.#recorder.record(key, key.length, true, () => this.#options.index.putName(url, name, imageId))
  }

  /** Give a new image its node id; the caller records it. */
  #admit(image: Image): ImageEntry {
    const entry = { image, nodeId: this.#images.nodeIdFor(image.id) }
    this.#images.remember(entry)
    return entry
  }

  #isFresh(origin: Origin, checkedMs: number): boolean {
    return this.#options.now() - checkedMs < this.#options.freshMs(origin)
  }
}

/** Answers of a lookup itself: the index is not to answer in its place. */
const answers = [
  'not-found',
  'access-denied',
  'origin-unsupported',
  'image-too-large',
  'too-many-images',
  'aborted',
] as const

const imageKey = (imageId: string) => `image ${imageId}`
