/**
 * The cache as the filesystem sees it: names and images from the catalog, bytes from the reader, and behind them promotion
 * and eviction. Policy lives in this room; the store does as it is told.
 */
import { ByteBudget } from '../byte-budget.ts'
import { CacheError } from '../errors.ts'
import type { Image } from '../image.ts'
import type { ImageEntry, IndexDatabase } from '../index/index-database.ts'
import { fetchBytesMax, recencySaveMs } from '../limits.ts'
import type { Logger } from '../logger.ts'
import type { StoreFile } from '../native/addon.ts'
import type { Origin } from '../origin/origin.ts'
import type { Store } from '../store/store.ts'
import type { StoredImage } from '../store/stored-image.ts'
import { Catalog } from './catalog.ts'
import { Digester, type DigestState } from './digester.ts'
import { type EvictionCounters, Evictor } from './evictor.ts'
import { type Extent, extentOf } from './extents.ts'
import { fitCapacity } from './fit.ts'
import { Flights } from './flight.ts'
import { type MountedOrigin, MountedOrigins } from './mounted-origins.ts'
import { Operations, shownName } from './operations.ts'
import { Pins } from './pins.ts'
import { Promoter, type PromotionCounters } from './promoter.ts'
import { type ImageMisses, type ReadCounters, Reader } from './reader.ts'
import { Scrubber, type ScrubberOptions, type ScrubCounters } from './scrubber.ts'

export interface CacheOptions {
  readonly origins: readonly MountedOrigin[]
  readonly index: IndexDatabase
  readonly store: Store
  readonly logger: Logger
  readonly revalidateSeconds: number
  readonly reservedNodeIds: bigint
  /** Bytes that wait for promotion, and bytes being fetched at once; other than the defaults. */
  readonly promotionBytesMax?: number
  readonly fetchBytesMax?: number
  /** Other than the defaults. */
  readonly scrub?: Partial<ScrubberOptions>
  /** Milliseconds, never going back. */
  readonly now: () => number
}

/** What can be changed while it runs. */
export interface CacheLimits {
  /** The origins of before, in their order, and then those that came. */
  readonly origins: readonly MountedOrigin[]
  readonly scrubBytesPerSecond: number
  readonly promotionBytesMax: number
  readonly fetchBytesMax: number
}

/** One image for status. */
export interface ImageStatus extends ImageMisses {
  readonly name: string
  readonly sizeBytes: number
  readonly residentBytes: number
  readonly complete: boolean
  readonly validator: string
  /**
   * The whole image against the digest that its publisher gives: `none` where none is given, `unverified` until the image is
   * complete; after a `mismatch` its reads fail.
   */
  readonly digest: DigestState
  /** Never evicted, as far as pinned images take no more than half of the capacity. */
  readonly pinned: boolean
  /** Does anybody have it open? */
  readonly open: boolean
}

export interface CacheCounters {
  readonly reads: ReadCounters
  readonly promotion: PromotionCounters
  readonly eviction: EvictionCounters
  readonly scrub: ScrubCounters
  /** Extents being fetched or promoted now. */
  readonly flights: number
}

export class Cache {
  readonly #options: CacheOptions
  readonly #origins: MountedOrigins
  readonly #catalog: Catalog
  readonly #flights = new Flights()
  readonly #promoter: Promoter
  readonly #fetchBudget: ByteBudget
  readonly #evictor: Evictor
  readonly #reader: Reader
  readonly #scrubber: Scrubber
  readonly #digester: Digester
  readonly #pins: Pins
  /** How often each image is held open. */
  readonly #opens = new Map<string, number>()
  readonly operations: Operations
  readonly #recencyTimer: NodeJS.Timeout
  #closing: Promise<void> | undefined

  constructor(options: CacheOptions) {
    this.#options = options
    this.#origins = new MountedOrigins(options.origins, options.revalidateSeconds)
    this.#catalog = new Catalog({ ...options, freshMs: origin => this.#origins.freshMs(origin) })
    this.#promoter = new Promoter(options.promotionBytesMax)
    this.#fetchBudget = new ByteBudget(options.fetchBytesMax ?? fetchBytesMax)
    const origins = options.origins.map(({ origin }) => origin)
    const imageOf = (origin: Origin, name: string) => this.#catalog.imageOfName(origin, name)?.image ?? null
    this.#pins = new Pins({ ...options, origins, imageOf, wallMs: Date.now })
    this.#evictor = new Evictor(options.store, options.logger, this.#pins)
    this.#scrubber = new Scrubber(options.store, options.logger, options.scrub)
    this.#digester = new Digester({ ...options, originOf: image => this.#origins.of(image).origin })
    this.#reader = new Reader({
      flights: this.#flights,
      fetchBudget: this.#fetchBudget,
      originOf: image => this.#origins.of(image).origin,
      patienceFor: image => this.#origins.patienceFor(image),
      stored: image => (options.store.health.mayRead ? options.store.use(image) : null),
      promote: (stored, object, first, bytes) => this.#promote(stored, object, first, bytes),
      imageChanged: image => this.#catalog.imageChanged(image),
    })
    this.operations = new Operations({
      ...options,
      origins: this.#origins.all,
      catalog: this.#catalog,
      reader: this.#reader,
      flights: this.#flights,
      promoter: this.#promoter,
      evictor: this.#evictor,
      digester: this.#digester,
      pins: this.#pins,
      isOpen: image => this.#opens.has(image.id),
    })
    this.#recencyTimer = setInterval(() => void this.#saveRecency(), recencySaveMs) // Reports to the log.
    this.#recencyTimer.unref()
  }

  get directories(): readonly string[] | null {
    return this.#origins.directories
  }

  get counters(): CacheCounters {
    return {
      reads: this.#reader.counters,
      promotion: this.#promoter.counters,
      eviction: this.#evictor.counters,
      scrub: this.#scrubber.counters,
      flights: this.#flights.size,
    }
  }

  /** Begin what goes on in the background for as long as the cache is open. */
  startBackground(): void {
    this.#scrubber.start()
    this.#digester.start()
  }

  /** Other limits, and origins that came, from now on. */
  reconfigure(limits: CacheLimits): void {
    const { origins, scrubBytesPerSecond, promotionBytesMax, fetchBytesMax } = limits
    for (const { origin } of this.#origins.change(origins)) this.#pins.adopt(origin)
    this.#scrubber.setPace(scrubBytesPerSecond)
    this.#promoter.resize(promotionBytesMax)
    this.#fetchBudget.resize(fetchBytesMax)
  }

  lookup(directory: string | null, name: string, { signal }: { readonly signal: AbortSignal }): Promise<ImageEntry> {
    return this.#catalog.lookup(this.#origins.in(directory), name, signal)
  }

  async list(directory: string | null, { signal }: { readonly signal: AbortSignal }) {
    const origin = this.#origins.in(directory)
    const names = await this.#catalog.list(origin, signal)
    const known = new Map(this.#catalog.known(origin).map(({ name, entry }) => [name, entry]))
    return names.map(name => ({ name, image: known.get(name) ?? null }))
  }

  imageOf(nodeId: bigint): ImageEntry | null {
    return this.#catalog.imageOfNode(nodeId)
  }

  /**
   * The data file that may answer hits; null where there is none.
   * @throws CacheError image-corrupt
   */
  async open(image: Image): Promise<StoreFile | null> {
    this.#digester.mustBeSound(image)
    this.#opens.set(image.id, (this.#opens.get(image.id) ?? 0) + 1)
    return this.#options.store.use(image)?.file ?? null
  }

  /** Data files stay open: their tables hold what is known of them. */
  release({ id }: Image): void {
    const opens = (this.#opens.get(id) ?? 0) - 1
    if (opens > 0) this.#opens.set(id, opens)
    else this.#opens.delete(id)
  }

  /** @throws CacheError image-corrupt, and see {@link Reader.read} */
  async read(
    image: Image,
    offset: number,
    length: number,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    if (this.#closing) throw new CacheError('closed', 'the cache is shutting down')
    this.#digester.mustBeSound(image)
    return this.#reader.read(image, offset, length, signal)
  }

  extentAt(image: Image, offset: number, { signal }: { readonly signal: AbortSignal }): Promise<Extent> {
    return extentOf(image, offset, this.#origins.of(image).origin, this.#options.store.find(image.id), signal)
  }

  residence(image: Image): { readonly residentBytes: number; readonly complete: boolean } {
    const stored = this.#options.store.find(image.id)
    return stored
      ? { residentBytes: stored.heldBytes, complete: stored.complete }
      : { residentBytes: 0, complete: image.sizeBytes === 0 }
  }

  capacity(): { readonly capacityBytes: number; readonly usedBytes: number; readonly images: number } {
    const { capacity } = this.#options.store
    return { capacityBytes: capacity.capacityBytes, usedBytes: capacity.usedBytes, images: this.#catalog.size }
  }

  /** What names mean now, for status; nothing is asked of an origin. */
  images(): ImageStatus[] {
    return this.#origins.all.flatMap(({ directory, origin }) =>
      this.#catalog.known(origin).map(({ name, entry: { image } }) => ({
        name: shownName(directory, name),
        sizeBytes: image.sizeBytes,
        ...this.residence(image),
        validator: image.validator,
        digest: this.#digester.state(image),
        pinned: this.#pins.has(origin, name),
        open: this.#opens.has(image.id),
        ...this.#reader.missesOf(image),
      })),
    )
  }

  /** Evict if a watermark calls for it; resolves when nothing is over any more, or nothing helps. Never rejects. */
  makeRoom(): Promise<void> {
    return this.#evictor.check()
  }

  /** Make what is used fit a capacity that was lowered, see {@link fitCapacity}. Never rejects. */
  fit(): Promise<void> {
    return fitCapacity(this.#options.store, this.#evictor, this.#options.now)
  }

  /** Cancel fetches, promote what has arrived, stop evicting; what has landed is the store's to commit. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    clearInterval(this.#recencyTimer)
    this.operations.close()
    await this.#scrubber.close()
    await this.#digester.close()
    await this.#flights.close()
    await this.#evictor.close()
  }

  /** What pinned images hold now, may take, and are allowed to take together, in bytes. */
  get pinned() {
    return this.#pins.bytes
  }

  async #promote(stored: StoredImage, object: number, first: number, bytes: Uint8Array): Promise<void> {
    if (this.#digester.state(stored.image) === 'mismatch') return
    await this.#promoter.offer(stored, object, first, bytes)
    if (stored.complete) this.#digester.check()
    void this.#evictor.check() // Never rejects.
  }

  async #saveRecency(): Promise<void> {
    await this.#options.store
      .saveRecency()
      .catch(error =>
        this.#options.logger.warn({ err: error }, 'recency could not be saved; it is tried again in a minute'),
      )
  }
}
