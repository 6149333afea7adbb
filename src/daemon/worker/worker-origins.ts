/**
 * The origins of a mount: opened, counted, shown.
 *
 * One origin shows its images in the root, several have a directory each. They share the cache; an image belongs to its
 * origin's URL, not to the directory's name, so that a name can move without losing what is cached.
 */
import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { DEFAULT_CIPHERS } from 'node:tls'
import type { OriginMeasurements } from '../../admin/measurements.ts'
import type { Status } from '../../admin/status.ts'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { originDescriptorsMax } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import { prefetchSlotsShare, readAroundChoices } from '../../cache/fetch/limits.ts'
import type { MountedOrigin } from '../../cache/fetch/origin-table.ts'
import type { CacheMode } from '../../cache/modes/cache-mode.ts'
import type { MemberLocations } from '../../fleet/asking/member-locations.ts'
import type { OriginReach } from '../../fleet/asking/reached-origin.ts'
import type { Deadlines } from '../../fuse/filesystem/transport.ts'
import type { Addon } from '../../native/addon.ts'
import { loadCephAddon } from '../../native/ceph-addon.ts'
import type { RangeReceiver } from '../../native/range-receiver.ts'
import type { StreamDecoders } from '../../native/stream-decoder.ts'
import type { TreeProof, TreeProofs } from '../../native/tree-proof.ts'
import type { UnitPermitTables } from '../../native/unit-permits.ts'
import type { Unpacker } from '../../native/unpacker.ts'
import { NativeReadSources, type ReaderPermits, ReaderTable } from '../../origin/contract/native-read-sources.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { ParentFinder } from '../../origin/contract/parent-finder.ts'
import type { ExtentFinder } from '../../origin/file/file-origin.ts'
import type { LocationRegistrar } from '../../origin/glance/image-locations.ts'
import { loadUndici } from '../../origin/http/http-client.ts'
import type { LocatedOrigin } from '../../origin/locations/located-origin.ts'
import { identityOf, type OriginDependencies, type OriginOptions, openOrigin } from '../../origin/open-origin.ts'
import { type HeldVersions, nothingHeld } from '../../origin/sealed/delta.ts'
import { OriginSeals } from '../../origin/sealed/origin-seals.ts'
import { noKeeper, type SealKeeper } from '../../origin/sealed/seal.ts'
import type { TakenSource } from '../../origin/sealed/taken-blocks.ts'
import { SequentialOrigin } from '../../origin/sequential/sequential-origin.ts'
import { CircuitState, type CircuitStateName } from '../../origin/wrappers/circuit-state.ts'
import { Hedges } from '../../origin/wrappers/hedge.ts'
import { Meter } from '../../origin/wrappers/meter.ts'
import { ReplaceableOrigin } from '../../origin/wrappers/replaceable.ts'
import type { OriginPlace } from '../config/configuration.ts'
import { hitSetOptionsOf } from '../config/hit-set-settings.ts'
import { locationSettingsOf, type OriginSettings, originOptionsOf } from '../config/origin-settings.ts'
import { heldAlone } from './held-alone.ts'
import { ImagePlaces, type PlacedOrigin } from './image-places.ts'
import { answerMarginMs } from './limits.ts'
import { together } from './origins-together.ts'

/** Proofs that are asked of the disk end with its time-outs. */
const neverAborted = new LightAbortSignal()

/** Longest source in the mount table, in bytes; the kernel takes a page. */
const sourceBytesMax = 255

/** Delay before undici is preloaded: loading it blocks the event loop for some 100 ms. */
const undiciLoadMs = 250

export interface WorkerOriginsContext {
  readonly addon: ExtentFinder &
    Pick<Addon, 'createReceiver' | 'createGrant' | 'createFileReaders'> &
    StreamDecoders &
    TreeProofs &
    UnitPermitTables &
    Unpacker
  readonly logger: Logger
  /** Why a told location at a URL is not for this host; null: it may be. */
  refusalOf(url: URL): string | null
}

/** The part of an origin that outlives a change of its settings. */
interface Counted {
  readonly meter: Meter
  readonly hedges: Hedges
  readonly availability: CircuitState
  readonly sources: NativeReadSources
  readonly seals: OriginSeals
}

interface OpenOrigin extends Counted {
  readonly place: OriginPlace
  /** Shows and compares the locations of its images; null where it has none but its own. */
  readonly located: LocatedOrigin | null
  /** As members of a group hold its images, and without them. */
  readonly unshared: Origin
  readonly replaceable: ReplaceableOrigin
  /** Of a pool of a Ceph cluster; null for all others. */
  readonly finder: ParentFinder | null
  /** Of an image service; null for all others. */
  readonly registrar: LocationRegistrar | null
  /** Around it: passes go on while its settings change. */
  readonly origin: SequentialOrigin
}

/** Wraps the origins that hosts share. */
export interface OriginSharing {
  readonly locations: MemberLocations
  /** Why a told location at a URL is not read as one, as it is a member's; null: it may be. */
  refusalOf(url: URL): string | null
  wrap(inner: Origin, reach: OriginReach): Origin
  /** Calls `then` now and at each change: do other hosts take part in reads? */
  followSharing(then: (isShared: boolean) => void): void
  /** The parts of images that session threads may read by themselves while they do. */
  readonly permits: ReaderPermits
}

export class WorkerOrigins {
  readonly #parts: WorkerOriginsContext
  readonly #receiver: RangeReceiver
  #open: readonly OpenOrigin[]
  #keeper: SealKeeper = noKeeper
  #held: HeldVersions = nothingHeld
  #sharing: OriginSharing | null = null
  /** Do other hosts take part in reads? */
  #hasOthers = false
  /** Does the addon know the OpenSSL of this Node.js? Asked for the first https: origin. */
  #knowsOpenssl: boolean | undefined

  /** @throws CacheError invalid-argument */
  constructor(places: readonly OriginPlace[], parts: WorkerOriginsContext) {
    this.#parts = parts
    this.#receiver = parts.addon.createReceiver()
    // OpenSSL ends with the process, and must not be in use then.
    process.once('exit', this.#endReceiving)
    const anyIsHttp = places.some(({ settings }) => /^https?:/.test(settings.url))
    if (anyIsHttp) setTimeout(loadUndici, undiciLoadMs).unref()
    this.#open = places.map(place => {
      const counted = this.#countersOf(place)
      const { origin, readers, ...found } = this.#openOne(place, counted)
      counted.sources.replace(readers)
      return { place, ...counted, ...found, ...around(origin) }
    })
  }

  /**
   * Applies other settings, adds origins, and closes those that are left out. Every origin is opened anew, so that its
   * files (secrets, certificates) are read again; calls under way end as they began.
   * @param places those of before under their names and URLs, and others
   * @throws CacheError invalid-argument; nothing has changed then
   */
  change(places: readonly OriginPlace[]): void {
    const next = places.map(place => {
      const before = this.#open.find(open => open.place.directory === place.directory)
      const counted = before ?? this.#countersOf(place)
      const { meter, hedges, availability, sources, seals } = counted
      return { place, before, meter, hedges, availability, sources, seals, ...this.#openOne(place, counted) }
    })
    const gone = this.#open.filter(({ place }) => !places.some(({ directory }) => directory === place.directory))
    this.#open = next.map(({ before, origin, readers, ...rest }) => {
      rest.sources.replace(readers)
      before?.replaceable.replace(origin)
      return { ...rest, ...(before ? { replaceable: before.replaceable, origin: before.origin } : around(origin)) }
    })
    // Nobody uses them any more, and an error could not be acted on.
    for (const { origin } of gone) void origin.close().catch(() => {})
  }

  /** From now on seals and hash trees are kept there, and blocks are taken from versions that are held. */
  keepSealsIn(keeper: SealKeeper, held: HeldVersions): void {
    this.#keeper = keeper
    this.#held = held
    for (const { seals } of this.#open) seals.keepIn(keeper, held)
  }

  /** From now on reads of origins that hosts can share ask members of the group first. */
  share(sharing: OriginSharing): void {
    this.#sharing = sharing
    for (const { settings } of this.#open.map(({ place }) => place)) {
      if (isShared(settings.url)) continue
      const message = 'origin takes no part in the fleet: the versions of its files are those of this host'
      this.#parts.logger.warn({ url: identityOf(settings.url) }, message)
    }
    this.change(this.#open.map(({ place }) => place))
    sharing.followSharing(hasOthers => {
      this.#hasOthers = hasOthers
      for (const { place, sources } of this.#open) sources.share(this.#permitsOf(place.settings))
    })
  }

  /** As the cache wants them. */
  get mounted(): readonly MountedOrigin[] {
    return this.#open.map(({ place: { directory, settings, readAround }, origin, availability, sources, seals }) => ({
      directory,
      origin,
      places: new ImagePlaces(() => this.#placed(origin)),
      mode: settings.mode ?? null,
      revalidateSeconds: settings.revalidate / 1000,
      patience: { missMs: settings.missTimeout, onOutage: settings.onOutage, availability },
      prefetchRequestsMax: Math.floor(settings.requests * prefetchSlotsShare),
      readAround: readAroundChoices[readAround],
      ...hitSetOptionsOf(settings),
      hasProfiles: 'profiles' in settings && settings.profiles !== false,
      passes: origin,
      seals,
      direct: {
        follow: (image, use) => sources.follow(image, use),
        unfollow: imageId => sources.unfollow(imageId),
        count: (image, range, ms) => sources.answered(image, range, ms),
      },
    }))
  }

  /** @throws CacheError closed */
  #placed(wanted: Origin): PlacedOrigin {
    const found = this.#open.find(({ origin }) => origin === wanted)
    if (!found) throw new CacheError('closed', `${wanted.url}: the origin has been closed`)
    const { unshared, meter, located, place } = found
    const members = isShared(place.settings.url) ? (this.#sharing?.locations ?? null) : null
    return { origin: unshared, counters: meter.counters(), located, members }
  }

  /** See {@link OriginSeals.localProof}. */
  async localProof(image: Image, offset: number, length: number): Promise<TreeProof | null> {
    const found = this.#open.find(({ origin }) => origin.url === image.origin)
    return (await found?.seals.localProof(image, offset, length, { signal: neverAborted })) ?? null
  }

  /** See {@link SealedOrigin.takenOf}. */
  takenOf(image: Image): TakenSource | null {
    return this.#open.find(({ origin }) => origin.url === image.origin)?.seals.takenOf(image.id) ?? null
  }

  /** The longest that a miss of any of them is waited for: a waiter further down knows the end, and the reason. */
  get deadlines(): Deadlines {
    const missMs = Math.max(...this.#open.map(({ place }) => place.settings.missTimeout))
    const anyWaits = this.#open.some(({ place }) => place.settings.onOutage === 'wait')
    const deadlineMs = missMs + answerMarginMs
    return { deadlineMs, readDeadlineMs: anyWaits ? null : deadlineMs }
  }

  /** Finders of the parents of clones, with the directories that show them. */
  get parentFinders(): readonly { readonly directory: string | null; readonly finder: ParentFinder }[] {
    return this.#open.flatMap(({ place: { directory }, finder }) => (finder ? [{ directory, finder }] : []))
  }

  /** Adds locations at the image service of an origin; null: it is none. */
  registrarOf(originUrl: string): LocationRegistrar | null {
    return this.#open.find(({ origin }) => origin.url === originUrl)?.registrar ?? null
  }

  /** The source in the mount table: the URL of the one origin without credentials, or the names of several. */
  get source(): string {
    const names = this.#open.map(({ place, origin }) => place.directory ?? origin.url)
    return names.join('+').slice(0, sourceBytesMax)
  }

  /** @param modeOf of an origin, by its URL */
  status(modeOf: (url: string) => CacheMode): Pick<Status, 'origin' | 'origins'> {
    const origins = this.#open.map(({ place, origin, meter, hedges, availability }) => ({
      name: place.directory,
      mode: modeOf(origin.url),
      url: origin.url,
      ...meter.counters(),
      unsupported: meter.details().unsupported,
      ...availability.status(),
      sinceSeconds: Math.round(availability.ageMs / 1000),
      hedges: hedges.counters(),
    }))
    const url = origins.length === 1 ? origins[0]!.url : this.source
    return { origin: together(url, origins), origins }
  }

  /** @param modeOf of an origin, by its URL */
  measurements(modeOf: (url: string) => CacheMode): OriginMeasurements[] {
    return this.#open.map(({ place, origin, meter, hedges, availability, seals }) => ({
      ...meter.counters(),
      ...meter.details(),
      ...availability.status(),
      hedges: hedges.counters(),
      wrongBlocks: wrongBlocksOf(seals),
      name: place.directory ?? origin.url,
      mode: modeOf(origin.url),
    }))
  }

  /** Null: nobody takes part in reads of that origin. */
  #permitsOf({ url }: OriginSettings): ReaderPermits | null {
    return this.#hasOthers && isShared(url) ? (this.#sharing?.permits ?? null) : null
  }

  readonly #endReceiving = () => this.#receiver.close()

  #countersOf({ settings }: OriginPlace): Counted {
    const sources = new NativeReadSources()
    sources.share(this.#permitsOf(settings))
    const onChange = (state: CircuitStateName) => sources.setAway(state !== 'available')
    const availability = new CircuitState(identityOf(settings.url), { logger: this.#parts.logger, onChange })
    const meter = new Meter()
    // A wrong answer is a failed request of the place that gave it.
    const onWrong = ({ key }: Image, reason: string) => {
      meter.begin()
      meter.end({ operation: 'read', key, bytes: 0, ms: 0, error: 'image-corrupt', reason })
    }
    const { addon: proofs, logger } = this.#parts
    const seals = new OriginSeals({ url: identityOf(settings.url), proofs, logger, onWrong })
    seals.keepIn(this.#keeper, this.#held)
    return { meter, hedges: new Hedges(), availability, sources, seals }
  }

  #openOne({ settings }: OriginPlace, { meter, hedges, availability, seals }: Counted) {
    const { addon, logger } = this.#parts
    if (settings.url.startsWith('https:')) this.#sayIfTlsIsSlow()
    const options = originOptionsOf(settings, logger)
    const { reads, bytes } = options.throttle ?? {}
    const grant = addon.createGrant((reads?.perSecond ?? 0) > 0, (bytes?.perSecond ?? 0) > 0)
    const readers = new ReaderTable(originDescriptorsMax, grant)
    const sharing = isShared(settings.url) ? this.#sharing : null
    const native = { addon, loadCeph: loadCephAddon, receiver: this.#receiver, unpacker: addon }
    let unshared: Origin | null = null
    const share = (origin: Origin) => {
      unshared = origin
      const failed = (error: CacheError) => void availability.enterAtOnce()?.failed(error)
      return sharing!.wrap(origin, { isAway: () => availability.state === 'away', failed })
    }
    const parts = { ...native, meter, hedges, availability, logger, seals, readers, ...(sharing ? { share } : {}) }
    const createFileReaders = () => addon.createFileReaders()
    const locations = locationSettingsOf(settings).map(location => this.#openLocation(location))
    let located: LocatedOrigin | null = null
    const onLocated = (origin: LocatedOrigin) => {
      located = origin
    }
    let finder: ParentFinder | null = null
    const onParentFinder = (found: ParentFinder) => {
      finder = found
    }
    let registrar: LocationRegistrar | null = null
    const onRegistrar = (found: LocationRegistrar) => {
      registrar = found
    }
    const heard = { onLocated, onParentFinder, onRegistrar, told: this.#toldOf(options) }
    const origin = openOrigin(settings.url, { ...parts, createFileReaders, options, locations, ...heard })
    const found = { located: located as LocatedOrigin | null, finder: finder as ParentFinder | null }
    const own = { unshared: (unshared as Origin | null) ?? origin, registrar: registrar as LocationRegistrar | null }
    return { origin, readers, ...found, ...own }
  }

  /** Opens told locations with the trust and the time-outs of their origin, and without its secrets. */
  #toldOf({ http, ...options }: OriginOptions): NonNullable<OriginDependencies['told']> {
    const { addon, logger } = this.#parts
    const parts = { addon, loadCeph: loadCephAddon, receiver: this.#receiver, logger }
    const open = (base: string, lookup: LookupFunction) => {
      const own = { ...options, views: [], verify: null, imageStores: [], names: { include: null, exclude: [] } }
      return openOrigin(base, { ...parts, options: { ...own, http: { ...http, lookup, authorizer: heldAlone } } })
    }
    return { lookup, open, refusal: url => this.#parts.refusalOf(url) ?? this.#sharing?.refusalOf(url) ?? null }
  }

  /** A further location: judged and counted by itself, and read by TypeScript alone. */
  #openLocation(settings: OriginSettings): Origin {
    const { addon, logger } = this.#parts
    if (settings.url.startsWith('https:')) this.#sayIfTlsIsSlow()
    const options = { ...originOptionsOf(settings, logger), views: [] }
    return openOrigin(settings.url, { addon, loadCeph: loadCephAddon, receiver: this.#receiver, logger, options })
  }

  #sayIfTlsIsSlow(): void {
    if (this.#knowsOpenssl !== undefined) return
    this.#knowsOpenssl = this.#receiver.trust('', DEFAULT_CIPHERS) !== null
    if (this.#knowsOpenssl) return
    const message = 'the addon does not know the OpenSSL of this Node.js: TLS is received in JavaScript, more slowly'
    this.#parts.logger.warn({ node: process.version, openssl: process.versions.openssl }, message)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.#open.map(({ origin }) => origin.close()))
    process.off('exit', this.#endReceiving)
    this.#endReceiving()
  }
}

function wrongBlocksOf({ counters }: OriginSeals): OriginMeasurements['wrongBlocks'] {
  return { data: counters.blocks, tree: counters.treeBlocks, kept_tree: counters.keptTreeBlocks }
}

/** A file's version names its device and inode: no other host has that. */
function isShared(url: string): boolean {
  return !/^file:/i.test(url)
}

function around(origin: Origin): Pick<OpenOrigin, 'replaceable' | 'origin'> {
  const replaceable = new ReplaceableOrigin(origin)
  return { replaceable, origin: new SequentialOrigin(replaceable) }
}
