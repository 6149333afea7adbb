/**
 * The cache as the filesystem sees it: names and images from the catalog, bytes from the miss reader, and behind them
 * promotion and eviction. Policy lives in this room; the store follows it.
 */

import { callSafely, onSettled } from '../async/on-settled.ts'
import type { CancelSignal } from '../base/cancel-signal.ts'
import { CacheError } from '../base/errors.ts'
import type { Image } from '../base/image.ts'
import type { ImageEntry } from '../index/index-database.ts'
import type { StoreFile } from '../native/addon.ts'
import type { Origin, ReadOptions } from '../origin/contract/origin.ts'
import type { CacheLimits, CacheOptions } from './cache-options.ts'
import type { CacheCounters, ImageStatus } from './cache-status.ts'
import { Evictor } from './evict/evictor.ts'
import { ForeignObjects } from './evict/foreign-objects.ts'
import { Pins } from './evict/pins.ts'
import { PromotionGate } from './evict/promotion-gate.ts'
import { RecencySaver } from './evict/recency-saver.ts'
import { shrinkToCapacity } from './evict/shrink-to-capacity.ts'
import { prefetchWindowBytesMax } from './fetch/limits.ts'
import { OriginTable } from './fetch/origin-table.ts'
import { Promoter } from './fetch/promoter.ts'
import { ForwardedImages } from './forwarded-images.ts'
import { ImageExpiry } from './image-expiry.ts'
import { ImageListings } from './image-listings.ts'
import { DigestVerifier } from './integrity/digest-verifier.ts'
import { Scrubber } from './integrity/scrubber.ts'
import { fetchBytesMax } from './limits.ts'
import { type CacheMode, cacheModeDefault, keepsMisses, servesHits } from './modes/cache-mode.ts'
import { ModeTable } from './modes/mode-table.ts'
import { Catalog } from './names/catalog.ts'
import { DirectoryTrees } from './names/directory-tree.ts'
import { ImageRefcounts } from './names/image-refcounts.ts'
import { KnownNames } from './names/known-names.ts'
import { shownName } from './operations/named-images.ts'
import { CacheOperations } from './operations/operations.ts'
import { type OriginRemovalContext, OriginRemovals } from './origin-removal.ts'
import { PassthroughImages } from './passthrough-images.ts'
import { UseSampler } from './plan/use-sampler.ts'
import { type DataOrHole, dataOrHoleAt } from './read/hole-map.ts'
import type { CacheReadOptions } from './read/miss-reader.ts'
import { ReadPath } from './read/read-path.ts'
import { ServedImages } from './served-images.ts'

export class Cache {
  readonly #options: CacheOptions
  readonly #origins: OriginTable
  readonly #catalog: Catalog
  readonly #trees: DirectoryTrees
  readonly #listings: ImageListings
  readonly #promoter: Promoter
  readonly #modes: ModeTable
  readonly #evictor: Evictor
  readonly #gate: PromotionGate
  readonly #foreign: ForeignObjects
  readonly #sampler: UseSampler
  readonly #reading: ReadPath
  readonly #scrubber: Scrubber
  readonly #digester: DigestVerifier
  readonly #pins: Pins
  readonly #opens = new ImageRefcounts()
  readonly #reads = new ImageRefcounts()
  readonly #leaving: ImageExpiry
  readonly passthrough: PassthroughImages
  readonly forwarding: ForwardedImages
  readonly operations: CacheOperations
  /** Origins that are leaving the mount. */
  readonly removals: OriginRemovals
  /** For other hosts. */
  readonly served: ServedImages
  /** See {@link MissReader.originReadBegun}, {@link MissReader.originReadDone} and {@link MissReader.bufferTouched}. */
  readonly originReadBegun: ReadPath['reader']['originReadBegun']
  readonly originReadDone: ReadPath['reader']['originReadDone']
  readonly bufferTouched: ReadPath['reader']['bufferTouched']
  readonly #recencySaver: RecencySaver
  #closing: Promise<void> | undefined

  constructor(options: CacheOptions) {
    this.#options = options
    this.#origins = new OriginTable(options.origins, options.revalidateSeconds, options.now)
    this.#catalog = new Catalog({
      ...options,
      freshMs: origin => this.#origins.freshMs(origin),
      makeRoom: signal => this.#leaving.forgetter.makeRoom(signal),
    })
    this.#trees = new DirectoryTrees({ catalog: this.#catalog, logger: options.logger })
    this.#listings = new ImageListings({ catalog: this.#catalog, trees: this.#trees })
    const configured = this.#origins.configuredModes(options.mode ?? cacheModeDefault)
    this.#modes = new ModeTable({ index: options.index, configured, leaving: this.#origins.leaving })
    this.#promoter = new Promoter(options.promotionBytesMax, ({ image }) => keepsMisses(this.#modes.of(image)))
    const originOf = (image: Image) => this.#origins.of(image).origin
    const imageOf = (origin: Origin, name: string) => this.#catalog.imageOfName(origin, name)?.image ?? null
    this.#pins = new Pins({ ...options, origins: options.origins.map(each => each.origin), imageOf, wallMs: Date.now })
    this.#gate = new PromotionGate({
      ...options,
      wallMs: options.wallMs ?? Date.now,
      origins: () => this.#origins.hitSets,
      isHeldByAge: () => this.#evictor.isHeldByAge,
    })
    const { hitSets } = this.#gate
    const unwanted = () => this.#leaving.collector.unwanted()
    const foreign = (this.#foreign = new ForeignObjects(options.foreignShareMax ?? 0, options.now))
    this.#evictor = new Evictor({ ...options, pins: this.#pins, unwanted, hitSets, foreign })
    options.store.onRecorded = () => void this.#evictor.check() // Never rejects.
    const isBusy = () => this.#reads.size > 0
    this.#scrubber = new Scrubber(options.store, options.logger, { isBusy, ...options.scrub })
    this.#digester = new DigestVerifier({ ...options, originOf })
    const parts = { catalog: this.#catalog, origins: this.#origins, pins: this.#pins, digester: this.#digester }
    const isInUse = (id: string) => this.#opens.has(id) || this.#reads.has(id) || this.operations.deltas.isSource(id)
    this.#leaving = new ImageExpiry({ ...options, ...parts, isInUse }, options.leaving ?? {})
    const opens = { begin: (id: string) => this.#opens.begin(id), end: (id: string) => this.#endOpen(id) }
    const shared = { ...options, originOf, opens, pins: this.#pins, digester: this.#digester, modes: this.#modes }
    this.passthrough = new PassthroughImages(shared)
    const imageChanged = (image: Image) => this.#catalog.imageChanged(image)
    this.forwarding = new ForwardedImages({ ...shared, imageChanged })
    const sampler = (this.#sampler = new UseSampler(options.nativeUses ?? null, () => this.#ownReads, options.now))
    this.#reading = new ReadPath({
      ...options,
      origins: this.#origins,
      catalog: this.#catalog,
      digester: this.#digester,
      modes: this.#modes,
      promoter: this.#promoter,
      ...{ evictor: this.#evictor, gate: this.#gate, hitSets, foreign, sampler },
      fetchBytesMax: options.fetchBytesMax ?? fetchBytesMax,
      readAheadBytesMax: options.readAheadBytesMax ?? prefetchWindowBytesMax,
    })
    this.originReadBegun = (...read) => this.#reading.reader.originReadBegun(...read)
    this.originReadDone = (...read) => this.#reading.reader.originReadDone(...read)
    this.bufferTouched = (...read) => this.#reading.reader.bufferTouched(...read)
    this.operations = new CacheOperations({
      ...shared,
      ...{ origins: this.#origins.all, catalog: this.#catalog, reader: this.#reading.reader },
      ...{ fetches: this.#reading.fetches, profiles: this.#reading.profiles },
      ...{ promoter: this.#promoter, evictor: this.#evictor, hitSets, sampler },
      isOpen: image => this.#opens.has(image.id),
      modesChanged: () => this.#modesChanged(),
    })
    this.served = this.#servedImages()
    this.removals = this.#originRemovals({ ...shared, isInUse })
    this.#recencySaver = new RecencySaver(options.store, options.logger)
  }

  #originRemovals(shared: Pick<OriginRemovalContext, 'store' | 'index' | 'isInUse' | 'acquaintance' | 'logger'>) {
    const parts = { origins: this.#origins, catalog: this.#catalog, modes: this.#modes, digester: this.#digester }
    const modesChanged = () => this.#modesChanged()
    return new OriginRemovals({ ...shared, ...parts, operations: this.operations, modesChanged })
  }

  #servedImages(): ServedImages {
    const { index, store } = this.#options
    return new ServedImages({
      ...{ index, store, catalog: this.#catalog, origins: this.#origins, foreign: this.#foreign },
      ...{ digester: this.#digester, operations: this.operations },
      ...{ fetches: this.#reading.fetches, forwarding: this.forwarding },
      read: (image, offset, length, own) => this.read(image, offset, length, { ...own, isForOthers: true }),
    })
  }

  /** Reads that came here: those that session threads answered from the store did not. */
  get #ownReads(): number {
    const { hits, misses } = this.#reading.reader.counters.counts
    return hits + misses
  }

  /** Names and images that are known without asking. */
  get known(): KnownNames {
    return new KnownNames(this.#catalog, directory => this.#origins.in(directory))
  }

  get directories(): readonly string[] | null {
    return this.#origins.directories
  }

  get counters(): CacheCounters {
    return {
      reads: this.#reading.reader.counters.counts,
      latencies: this.#reading.reader.counters.latencies,
      promotion: { ...this.#promoter.counters, withheldBytes: this.#reading.withheldBytes },
      eviction: this.#evictor.counters,
      written: this.#gate.written,
      scrub: this.#scrubber.counters,
      retirement: this.#leaving.collector.counters,
      passthrough: this.passthrough.counters,
      forwarding: this.forwarding.counters,
      droppedSamples: this.#sampler.dropped,
      prefetch: this.#reading.prefetchCounters,
      inflightFetches: this.#reading.fetchesUnderWay,
      knownImages: this.#leaving.forgetter.counters,
      truncatedListings: this.#catalog.cutListings,
    }
  }

  /** Begin what goes on in the background for as long as the cache is open. */
  startBackground(): void {
    this.#scrubber.start()
    this.#gate.hitSets.start()
    this.#sampler.start()
    this.#digester.start()
    this.#leaving.start()
    this.passthrough.start()
    this.operations.deltas.start()
  }

  /** Other limits, and origins that came or went, from now on. */
  reconfigure(limits: CacheLimits): void {
    const { came, went } = this.#origins.change(limits.origins)
    for (const { origin } of came) this.#pins.adopt(origin)
    for (const { origin } of went) this.#pins.drop(origin)
    this.#scrubber.setPace(limits.scrub)
    this.#promoter.resize(limits.promotionBytesMax)
    this.#modes.configure(this.#origins.configuredModes(limits.mode))
    this.#gate.reconfigure(limits)
    this.#evictor.reconfigure(limits)
    this.#foreign.resize(limits.foreignShareMax ?? 0)
    this.#reading.reconfigure(limits)
    void this.#modesChanged() // Never rejects.
  }

  /** See {@link ModeTable.ofOrigin}. */
  modeOfOrigin(url: string): CacheMode {
    return this.#modes.ofOrigin(url)
  }

  /** The data file of an open image that may answer hits now; null where there is none, or it is not asked. */
  async fileOf(image: Image): Promise<StoreFile | null> {
    return (await this.#reading.attach(image))?.file ?? null
  }

  /** Resolves when nothing goes on as the modes of before said. Never rejects. */
  async #modesChanged(): Promise<void> {
    await this.#options.onModes?.()
    await this.#promoter.written()
  }

  lookup(directory: string | null, key: string, options: ReadOptions): Promise<ImageEntry> {
    return this.#catalog.lookup(this.#origins.in(directory), key, options)
  }

  /** See {@link Catalog.absentMs}. */
  absentMs(directory: string | null, key: string): number {
    return this.#catalog.absentMs(this.#origins.in(directory), key)
  }

  isHierarchical(directory: string | null): boolean {
    return this.#origins.in(directory).isHierarchical === true
  }

  knowsDirectory(directory: string | null, prefix: string): boolean {
    return this.#trees.knows(this.#origins.in(directory), prefix)
  }

  hasDirectory(directory: string | null, prefix: string, options: ReadOptions): Promise<boolean> {
    return this.#trees.has(this.#origins.in(directory), prefix, options)
  }

  /** The directories below those of origins that are known. */
  *nestedDirectories(): Iterable<{ readonly directory: string | null; readonly prefix: string }> {
    for (const { directory, origin } of this.#origins.all) {
      for (const prefix of this.#trees.known(origin)) yield { directory, prefix }
    }
  }

  /** Have the directories of an earlier process known again. */
  async loadDirectories(signal: CancelSignal): Promise<void> {
    for (const { origin } of this.#origins.all) if (origin.isHierarchical) await this.#trees.load(origin, signal)
  }

  list(directory: string | null, prefix: string, options: ReadOptions) {
    return callSafely(() => this.#listings.list(this.#origins.in(directory), prefix, options))
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
    this.#opens.begin(image.id)
    this.#catalog.use(image)
    return (await this.#reading.open(image))?.file ?? null
  }

  /**
   * End one open: the last one lets a superseded version go. Others keep their data file: its table tells which blocks
   * are held.
   */
  release(image: Image): void {
    this.#endOpen(image.id)
  }

  /** @throws CacheError image-corrupt, and see {@link Reader.read} */
  read(image: Image, offset: number, length: number, options: CacheReadOptions): Promise<Uint8Array> {
    return callSafely(() => {
      if (this.#closing) throw new CacheError('closed', 'the cache is shutting down')
      this.#digester.mustBeSound(image)
      this.#reads.begin(image.id)
      return onSettled(this.#reading.reader.read(image, offset, length, options), () => this.#reads.end(image.id))
    })
  }

  extentAt(image: Image, offset: number, { signal }: { readonly signal: CancelSignal }): Promise<DataOrHole> {
    const stored = servesHits(this.#modes.of(image)) ? this.#options.store.find(image.id) : null
    return dataOrHoleAt(image, offset, this.#origins.of(image).origin, stored, signal)
  }

  residence(image: Image): Pick<ImageStatus, 'residentBytes' | 'complete' | 'mode'> {
    const stored = this.#options.store.find(image.id)
    const mode = this.#modes.of(image)
    if (!stored) return { residentBytes: 0, complete: image.sizeBytes === 0, mode }
    return { residentBytes: stored.heldBytes, complete: stored.complete, mode }
  }

  properties(image: Image): Readonly<Record<string, string>> | null {
    return this.#origins.of(image).origin.describe?.(image) ?? null
  }

  capacity(): { readonly capacityBytes: number; readonly usedBytes: number; readonly images: number } {
    const { capacity } = this.#options.store
    return { capacityBytes: capacity.capacityBytes, usedBytes: capacity.usedBytes, images: this.#catalog.size }
  }

  /** The images of names now, for status; no origin is asked. */
  images(): ImageStatus[] {
    return [...this.eachImage()]
  }

  /** The same one by one, for a walk that yields now and then: what is added meanwhile may be missed. */
  *eachImage(): Generator<ImageStatus> {
    for (const { directory, origin, passes, seals } of this.#origins.all) {
      for (const { name, entry } of this.#catalog.known(origin)) {
        const { image } = entry
        yield {
          name: shownName(directory, name),
          sizeBytes: image.sizeBytes,
          ...this.residence(image),
          passBytes: passes?.positionOf(image.id) ?? null,
          validator: image.validator,
          digest: this.#digester.state(image),
          proof: seals?.proofOf(image) ?? null,
          pinned: this.#pins.has(origin, name),
          open: this.#opens.has(image.id),
          ...this.#reading.reader.counters.of(image, this.#options.store.find(image.id)),
        }
      }
    }
  }

  /** Let superseded versions go that are not in use. Never rejects. */
  retireVersions(): Promise<void> {
    return this.#leaving.collector.check()
  }

  /** Evict if a watermark calls for it; resolves when nothing is over any more, or nothing helps. Never rejects. */
  makeRoom(): Promise<void> {
    return this.#evictor.checkNow()
  }

  /** Make what is used fit a capacity that was lowered, see {@link shrinkToCapacity}. Never rejects. */
  fit(): Promise<void> {
    return shrinkToCapacity(this.#options.store, this.#evictor, this.#options.now)
  }

  /** Cancel fetches, promote what has arrived, stop evicting; what has landed is the store's to commit. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#recencySaver.close()
    await this.removals.close()
    await this.operations.close()
    this.#sampler.close()
    this.forwarding.close()
    await this.passthrough.close()
    await this.#scrubber.close()
    await this.#digester.close()
    await this.#leaving.close()
    await this.#reading.close()
    await this.#evictor.close()
    await this.#gate.close()
  }

  /** Bytes of pinned images: held now, at most, and allowed together. */
  get pinned() {
    return this.#pins.bytes
  }

  #endOpen(imageId: string): void {
    this.#opens.end(imageId)
    if (!this.#opens.has(imageId)) this.#reading.closed(imageId)
  }
}
