/**
 * The origins of a mount: opened, counted, shown.
 *
 * One origin shows its images in the root, several have a directory each. They share the cache; an image belongs to its
 * origin's URL, not to the directory's name, so that a name can move without losing what is cached.
 */
import type { OriginMeasurements } from '../../admin/measurements.ts'
import type { Status } from '../../admin/status.ts'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import type { RunEvery } from '../../async/timers.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { prefetchSlotsShare, readAroundChoices } from '../../cache/fetch/limits.ts'
import type { MountedOrigin } from '../../cache/fetch/origin-table.ts'
import type { CacheMode } from '../../cache/modes/cache-mode.ts'
import type { MemberLocations } from '../../fleet/asking/member-locations.ts'
import type { OriginReach } from '../../fleet/asking/relayed-origin.ts'
import type { Deadlines } from '../../fuse/filesystem/transport.ts'
import type { TreeProof, TreeProofs } from '../../native/tree-proof.ts'
import type { UnitPermitTables } from '../../native/unit-permits.ts'
import { NativeReadSources, type ReaderPermits } from '../../origin/contract/native-read-sources.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { ParentFinder } from '../../origin/contract/parent-finder.ts'
import type { LocationRegistrar } from '../../origin/glance/location-registrar.ts'
import { loadUndici } from '../../origin/http/http-client.ts'
import { identityOf } from '../../origin/open-origin.ts'
import { OriginSeals } from '../../origin/sealed/origin-seals.ts'
import { noKeeper, type SealKeeper } from '../../origin/sealed/seal.ts'
import type { TakenSource } from '../../origin/sealed/taken-blocks.ts'
import { type HeldVersions, nothingHeld } from '../../origin/sealed/version-delta.ts'
import { SequentialOrigin } from '../../origin/sequential/sequential-origin.ts'
import { downFor, UnopenedOrigin } from '../../origin/unopened-origin.ts'
import { CircuitState, type CircuitStateName } from '../../origin/wrappers/circuit-state.ts'
import { Hedges } from '../../origin/wrappers/hedge.ts'
import { Meter } from '../../origin/wrappers/meter.ts'
import { ReplaceableOrigin } from '../../origin/wrappers/replaceable.ts'
import type { OriginPlace } from '../config/configuration.ts'
import { hitSetOptionsOf } from '../config/hit-set-settings.ts'
import type { OriginSettings } from '../config/origin-settings.ts'
import { together } from './combined-origin-status.ts'
import { answerMarginMs, openRetryMs } from './limits.ts'
import { LocationReport, type PlacedOrigin } from './location-report.ts'
import {
  type Opened,
  OriginOpener,
  type OriginOpenerContext,
  type OriginState,
  type ReadSettings,
  type ShareOrigin,
} from './origin-opener.ts'

/** Proofs that are asked of the disk end with its time-outs. */
const neverAborted = new LightAbortSignal()

/** Longest source in the mount table, in bytes; the kernel takes a page. */
const sourceBytesMax = 255

/** Delay before undici is preloaded: loading it blocks the event loop for some 100 ms. */
const undiciLoadMs = 250

export interface WorkerOriginsContext extends OriginOpenerContext {
  readonly addon: OriginOpenerContext['addon'] & TreeProofs & UnitPermitTables
  /** Requests of guests wait: an origin that cannot be opened is down for them, and is tried again. */
  readonly isAwaited: boolean
  /** Other than the timers of the process. */
  readonly every?: RunEvery
}

/** The part of an origin that outlives a change of its settings. */
interface Counted extends OriginState {
  readonly sources: NativeReadSources
}

interface OpenOrigin extends Counted, Omit<Opened, 'origin' | 'readers'> {
  readonly place: OriginPlace
  /** Null: it is not open. */
  readonly read: ReadSettings | null
  readonly replaceable: ReplaceableOrigin
  readonly onReplaced: () => void
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
  readonly #opener: OriginOpener
  #open: readonly OpenOrigin[]
  #keeper: SealKeeper = noKeeper
  #held: HeldVersions = nothingHeld
  #sharing: OriginSharing | null = null
  /** Do other hosts take part in reads? */
  #hasOthers = false
  readonly #retry: PeriodicTask

  /** @throws CacheError invalid-argument where no guest waits */
  constructor(places: readonly OriginPlace[], { refusalOf, ...parts }: WorkerOriginsContext) {
    const refusal = (url: URL) => refusalOf(url) ?? this.#sharing?.refusalOf(url) ?? null
    this.#parts = { ...parts, refusalOf: refusal }
    this.#opener = new OriginOpener(this.#parts)
    this.#retry = new PeriodicTask(openRetryMs, () => this.#openRest(), parts.every)
    const anyIsHttp = places.some(({ settings }) => /^https?:/.test(settings.url))
    if (anyIsHttp) setTimeout(loadUndici, undiciLoadMs).unref()
    this.#open = places.map(place => this.#begin(place))
    if (this.#open.some(({ read }) => !read)) this.#retry.start()
  }

  /**
   * Applies other settings, adds origins, and closes those that are left out. Every origin is opened anew, so that its
   * files (secrets, certificates) are read again; calls under way end as they began.
   * @param places those of before under their names and URLs, and others
   * @throws CacheError invalid-argument; nothing has changed then
   */
  change(places: readonly OriginPlace[]): void {
    const read = places.map(({ settings }) => this.#opener.read(settings))
    const next = places.map((place, k) => {
      const before = this.#open.find(open => open.place.directory === place.directory)
      return { before, ...this.#openNext(place, before ?? this.#countersOf(place), read[k]!) }
    })
    const gone = this.#open.filter(({ place }) => !places.some(({ directory }) => directory === place.directory))
    this.#open = next.map(({ before, ...opened }) => replaced(before ?? null, opened))
    close(gone)
  }

  /** Closes the origin of a directory; the others stay as they are. */
  remove(directory: string): void {
    const gone = this.#open.filter(({ place }) => place.directory === directory)
    this.#open = this.#open.filter(open => !gone.includes(open))
    close(gone)
  }

  /** Opened; while guests wait, one that cannot be opened is down. */
  #begin(place: OriginPlace): OpenOrigin {
    const counted = this.#countersOf(place)
    try {
      return replaced(null, this.#openNext(place, counted, this.#opener.read(place.settings)))
    } catch (error) {
      if (!this.#parts.isAwaited) throw error
      const { url, missTimeout: missMsMax, retryPause: msMin, retryPauseMax: msMax } = place.settings
      const unopened = new UnopenedOrigin(url, messageOf(error))
      const message = 'the origin is not open; what is held is served, misses wait, and it is tried again'
      this.#parts.logger.error({ origin: unopened.url, err: error }, message)
      const origin = downFor(unopened, counted.availability, { retry: { msMin, msMax }, missMsMax })
      const none = { located: null, finder: null, registrar: null }
      return { place, read: null, ...counted, ...none, unshared: origin, ...around(origin, () => unopened.end()) }
    }
  }

  /** Opens those that are not open yet. Never throws. */
  #openRest(): void {
    this.#open = this.#open.map(open => {
      if (open.read) return open
      try {
        const opened = this.#openNext(open.place, open, this.#opener.read(open.place.settings))
        this.#parts.logger.info({ origin: open.origin.url }, 'the origin is open')
        return replaced(open, opened)
      } catch {
        return open // It was said.
      }
    })
    if (this.#open.every(({ read }) => read)) this.#retry.stop()
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
    this.#open = this.#open.map(open => {
      return open.read ? replaced(open, this.#openNext(open.place, open, open.read)) : open
    })
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
      places: new LocationReport(() => this.#placed(origin)),
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

  #openNext(place: OriginPlace, counted: Counted, read: ReadSettings): NextOrigin {
    const sharing = isShared(place.settings.url) ? this.#sharing : null
    const share: ShareOrigin | null = sharing && ((...parts) => sharing.wrap(...parts))
    const { meter, hedges, availability, sources, seals } = counted
    return { place, read, meter, hedges, availability, sources, seals, ...this.#opener.open(read, counted, share) }
  }

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

  /** Idempotent. */
  async close(): Promise<void> {
    this.#retry.stop()
    await Promise.all(this.#open.map(({ origin }) => origin.close()))
    this.#opener.close()
  }
}

function wrongBlocksOf({ counters }: OriginSeals): OriginMeasurements['wrongBlocks'] {
  return { data: counters.blocks, tree: counters.treeBlocks, kept_tree: counters.keptTreeBlocks }
}

/** A file's version names its device and inode: no other host has that. */
function isShared(url: string): boolean {
  return !/^file:/i.test(url)
}

/** An origin that was opened, for the one of before or in its own right. */
type NextOrigin = Counted & Opened & Pick<OpenOrigin, 'place'> & { readonly read: ReadSettings }

/** @param before null: there was none */
function replaced(before: OpenOrigin | null, { origin, readers, ...rest }: NextOrigin): OpenOrigin {
  rest.sources.replace(readers)
  if (!before) return { ...rest, ...around(origin) }
  before.replaceable.replace(origin)
  before.onReplaced()
  return { ...rest, replaceable: before.replaceable, origin: before.origin, onReplaced: () => {} }
}

function around(origin: Origin, onReplaced = () => {}): Pick<OpenOrigin, 'replaceable' | 'origin' | 'onReplaced'> {
  const replaceable = new ReplaceableOrigin(origin)
  return { replaceable, origin: new SequentialOrigin(replaceable), onReplaced }
}

/** Nobody uses them any more, and an error could not be acted on. */
function close(gone: readonly OpenOrigin[]): void {
  for (const { origin } of gone) void origin.close().catch(() => {})
}
