/**
 * Composition root: builds the rooms bottom-up and stops them top-down. The only place that constructs any.
 *
 * The order of a boot reads from top to bottom here: engine, origin, cache directory, index, clock, store, cache, and,
 * once mounted, the transport.
 */

import type { FleetHandlers } from '../../admin/fleet-handlers.ts'
import type { RoomsMeasurements } from '../../admin/measurements.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Logger } from '../../base/logger.ts'
import { Cache } from '../../cache/cache.ts'
import type { ImageStatus } from '../../cache/cache-status.ts'
import { RecencyClock } from '../../cache/evict/recency-clock.ts'
import type { CacheOperations } from '../../cache/operations/operations.ts'
import type { CreateFront } from '../../fleet/server/serving-connections.ts'
import { reservedNodeIds } from '../../fuse/filesystem/backend.ts'
import type { Transport } from '../../fuse/filesystem/transport.ts'
import { FuseNativeTransport } from '../../fuse/fuse-native/fuse-native-transport.ts'
import { loadFuseNative } from '../../fuse/fuse-native/load-package.ts'
import { KernelTransport } from '../../fuse/kernel/kernel-transport.ts'
import type { MemoryLock } from '../../index/guard/memory-lock.ts'
import type { Addon, Engine, Session, SessionOptions } from '../../native/addon.ts'
import { allocateShared } from '../../native/shared-memory.ts'
import { type CacheDirectory, openCacheDirectory } from '../../store/disk/cache-directory.ts'
import { RealDataDirectory } from '../../store/disk/data-directory.ts'
import { heldVersionsOf } from '../../store/seals/held-versions.ts'
import { KeptSeals } from '../../store/seals/kept-seals.ts'
import { RealTreeDirectory } from '../../store/seals/tree-directory.ts'
import { Store } from '../../store/store.ts'
import { checkOverlap } from '../config/check-overlap.ts'
import { type Configuration, checkCapacity, checkFileSystem, timingOf, watermarksOf } from '../config/configuration.ts'
import { revalidateSecondsDefault } from '../config/limits.ts'
import { planReload, type ReloadPlan, withoutOrigin } from '../config/plan-reload.ts'
import { whyNoPassthrough } from '../mount/process-capabilities.ts'
import { cacheLimitsOf } from './cache-limits.ts'
import { CacheMover } from './cache-move.ts'
import type { CachelessMode } from './cacheless-mode.ts'
import { CloserStack } from './closer-stack.ts'
import {
  type CollectedRooms,
  collectLive,
  collectStatus,
  type LiveRoomsStatus,
  measureReads,
  type RoomsStatus,
} from './collect-status.ts'
import { dropMemberUnits } from './drop-member-units.ts'
import { EventLoopLag } from './event-loop-lag.ts'
import { membersFile, registrationsFile } from './host-files.ts'
import { LeavingOrigins } from './leaving-origins.ts'
import { MountTraces } from './mount-traces.ts'
import { nativeUsesOf } from './native-use-samples.ts'
import { writeOffLoop } from './off-loop-write.ts'
import { servingSettingsOf } from './open-fleet.ts'
import { placeOf } from './open-group.ts'
import { openIndex } from './open-index.ts'
import { OverdueReads } from './overdue-reads.ts'
import { probeOrigins } from './probe-origins.ts'
import { reasonOfEnd } from './session-end.ts'
import { WorkerFleet } from './worker-fleet.ts'
import { LibrbdRoom, openLibrbd } from './worker-librbd.ts'
import { WorkerOrigins } from './worker-origins.ts'
import type { Serving } from './worker-rooms.ts'

export interface AssemblyContext {
  readonly addon: Addon
  readonly logger: Logger
  /** Fires when the start is no longer wanted. */
  readonly signal: CancelSignal
  /** Keep nothing and read nothing of what is kept; null where all is well. */
  readonly bypass: CachelessMode | null
  /** Why an index that was not closed is copied, and not opened as it is; null: it is. */
  readonly indexDoubt: string | null
  /** The last move of the cache to another directory; none when absent. */
  readonly move?: ConstructorParameters<typeof CacheMover>[0]
  /** Requests of guests wait for it. */
  readonly isAwaited: boolean
  /** Takes sentences for the person at the terminal, if there is one. */
  readonly tell: (sentence: string) => void
}

export class Rooms {
  #configuration: Configuration
  readonly #logger: Logger
  readonly #closers = new CloserStack()
  readonly #engine: Engine
  readonly #origins: WorkerOrigins
  readonly #diskWatch = new OverdueReads({
    engine: { abandonFetches: ms => this.#engine.abandonFetches(ms) },
    onHealthy: () => void this.#cache?.makeRoom(), // Never rejects.
  })
  #directory: CacheDirectory | null = null
  readonly mover: CacheMover
  #store!: Store
  #memoryLock!: MemoryLock
  #cache!: Cache
  readonly #fleet = new WorkerFleet()
  leaving!: LeavingOrigins
  #transport: Transport | null = null
  readonly #addon: Addon
  readonly #traces: MountTraces
  readonly #lag = new EventLoopLag()
  readonly librbd = new LibrbdRoom(serving =>
    openLibrbd(this.#configuration, serving, {
      ...{ addon: this.#addon, backend: this.#cache, logger: this.#logger, deadlines: this.#origins.deadlines },
      startSession: options => this.#startSession(serving.fd, options),
      places: () => this.#origins.parentFinders,
    }),
  )

  private constructor(configuration: Configuration, { addon, logger, bypass, move, isAwaited }: AssemblyContext) {
    this.#configuration = configuration
    this.#logger = logger
    this.#addon = addon
    this.mover = new CacheMover(move ?? null, configuration, addon, bypass?.reason)
    this.#traces = new MountTraces(configuration.mountpoint, logger)
    this.#closers.push('traces', () => this.#traces.close())
    this.#closers.push('bypass', () => bypass?.close())
    // After the engine, whose threads open files there.
    this.#closers.push('cache directory', () => this.#directory?.unlock())
    const refusalOf = (url: URL) => this.#refusalOf(url)
    this.#origins = new WorkerOrigins(configuration.places, { addon, logger, isAwaited, refusalOf })
    this.#closers.push('event loop lag', () => this.#lag.close())
    this.#closers.push('origins', () => this.#origins.close())
    this.#engine = addon.createEngine({ storeThreads: configuration.worker.storeThreads })
    this.#closers.push('engine', () => this.#engine.close())
  }

  /**
   * Everything but the mount.
   * @throws CacheError whatever one of the rooms says; then nothing stays open
   */
  static async open(configuration: Configuration, parts: AssemblyContext): Promise<Rooms> {
    // Guests that wait do so beside a directory of an origin that hangs: it was looked at before the mount.
    if (!parts.isAwaited) await checkOverlap(configuration)
    await checkFileSystem(configuration.cache)
    if (configuration.transport === 'fuse-native') loadFuseNative(parts.addon)
    const rooms = new Rooms(configuration, parts)
    await rooms.#traces.apply(configuration.tracing)
    try {
      await rooms.#open(parts)
      return rooms
    } catch (error) {
      await rooms.close()
      throw error
    }
  }

  async #open({ addon, signal, bypass, indexDoubt, isAwaited, tell }: AssemblyContext): Promise<void> {
    const [{ cache }, logger] = [this.#configuration, this.#logger]
    const { directory: cacheDirectory, blockSize: blockBytes, capacity: capacityBytes } = cache
    const directory = (this.#directory = openCacheDirectory(cacheDirectory, blockBytes, addon))
    await (bypass ? bypass.seed(directory.index) : this.mover.begin(directory, logger))
    const { index, memoryLock } = await openIndex(directory, capacityBytes, this.#engine, indexDoubt, logger)
    this.#closers.push('index', () => index.close())
    this.#memoryLock = memoryLock
    const clock = new RecencyClock(1, now => this.#engine.setTick(now))
    this.#closers.push('clock', () => clock.close())
    const trees = new RealTreeDirectory(directory.trees, this.#engine)
    const seals = await KeptSeals.load({ index, directory: trees, logger })
    this.#closers.push('seals', () => seals.close())
    const store = await Store.open({
      trees: seals,
      directory: new RealDataDirectory(directory, this.#engine),
      blockBytes,
      capacityBytes,
      watermarks: watermarksOf(cache),
      timing: timingOf(cache),
      index,
      logger,
      tick: () => clock.tick,
      now: () => performance.now(),
      onHealth: health => this.#diskWatch.changed(health),
    })
    this.#closers.push('store', () => store.close())
    if (bypass) store.health.forceBypass(bypass.reason)
    seals.use(store)
    store.takenOf = image => this.#origins.takenOf(image)
    store.proofOf = (image, offset, length) => this.#origins.localProof(image, offset, length)
    this.#origins.keepSealsIn(seals, heldVersionsOf(store))
    clock.advanceTo(store.latestUse + 1)
    this.#store = store
    this.#cache = new Cache({
      ...cacheLimitsOf(this.#configuration, this.#origins.mounted),
      ...{ index, store, logger, revalidateSeconds: revalidateSecondsDefault },
      passedElsewhere: this.mover.passed,
      onModes: async () => void (await Promise.all([this.#transport?.rebind(), this.librbd.rebind()])),
      reservedNodeIds,
      acquaintance: { knows: async (nodeId, lost) => this.#transport?.knows(nodeId, lost) ?? true },
      allocateShared: bytes => allocateShared(this.#addon, bytes),
      ...{ engine: this.#engine, traces: this.#traces.tracer },
      profileGroup: this.#fleet.profileGroup,
      nativeUses: nativeUsesOf(this.#engine, () => [this.#transport, this.librbd.uses]),
      now: () => performance.now(),
    })
    this.#closers.push('cache', () => this.#cache.close())
    this.mover.use(this.#cache.passthrough)
    const places = () => this.#configuration.places
    this.leaving = new LeavingOrigins(this.#cache.removals, places, directory => {
      this.#configuration = withoutOrigin(this.#configuration, directory)
      this.#origins.remove(directory)
      this.#applyToCache()
    })
    await this.#cache.loadDirectories(signal)
    this.#closers.push('fleet', () => this.#fleet.close())
    await this.#fleet.open(() => this.#openFleet(directory, bypass === null), isAwaited, logger)
    // A typing error must show at the first mount. Of an origin that is known, or while guests wait, none is asked.
    if (isAwaited) return
    const known = new Set(index.images().map(({ image }) => image.origin))
    const list = (at: string | null) => this.#cache.list(at, '', { signal })
    await probeOrigins(this.#origins.mounted, { list, known, logger, tell }, signal)
  }

  async #openFleet({ top }: CacheDirectory, isMember: boolean): Promise<void> {
    const [addon, logger] = [this.#addon, this.#logger]
    const createFront: CreateFront = (limits, onEvent) => this.#engine.createServingFront(limits, onEvent)
    await this.#fleet.openService(this.#configuration, this.#cache, { addon, logger, createFront })
    // Others may ask from then on.
    if (!isMember) return
    const registrarOf = (url: string) => this.#origins.registrarOf(url)
    const path = top.at(registrationsFile)
    this.#fleet.startRegistration(() => this.#configuration, this.#cache, { path, logger, registrarOf })
    const opened = await this.#fleet.openGroup(this.#configuration, this.#cache, {
      logger,
      viewPath: top.at(membersFile),
      permitTables: addon,
      sumOf: bytes => addon.crc32c(bytes),
      dropMemberUnits: units => void dropMemberUnits(this.#store, units, logger), // Never rejects.
    })
    if (opened) this.#origins.share(opened.group)
  }

  /** Of a told location: this host would ask itself. */
  #refusalOf({ origin }: URL): string | null {
    return origin === placeOf(this.#configuration) ? 'this host itself' : null
  }

  /** The source in the mount table. */
  get source(): string {
    return this.#origins.source
  }

  /** Serve a mount. Call once; resolves when requests are answered. */
  async serve({ fd, negotiated, work, onNegotiated }: Serving): Promise<void> {
    const transport = (this.#transport = KernelTransport.start({
      startSession: handlers => this.#startSession(fd, handlers),
      writeAside: bytes => writeOffLoop(fd, bytes),
      ...this.#transportParts(),
      negotiated,
      work,
      onNegotiated,
      passthroughOff: whyNoPassthrough(this.#configuration),
      passesDirect: this.#configuration.passthrough === 'always',
    }))
    await transport.ready
    this.#startBackground()
  }

  /** Mount, and serve: `serve` for a transport that mounts by itself. */
  async mount(): Promise<void> {
    const { mountpoint, allowOther } = this.#configuration
    const place = { addon: this.#addon, mountpoint, allowOther, source: this.source }
    this.#transport = await FuseNativeTransport.mount({ ...place, ...this.#transportParts() })
    this.#startBackground()
  }

  #startSession(fd: number, handlers: Omit<SessionOptions, 'threads'>): Session {
    const session = this.#engine.startSession(fd, { threads: this.#configuration.worker.sessionThreads, ...handlers })
    this.#diskWatch.watch(session, this.#store.health)
    return session
  }

  #transportParts() {
    const presentation = this.#configuration.attributes
    return { backend: this.#cache, presentation, logger: this.#logger, ...this.#origins.deadlines }
  }

  #startBackground(): void {
    // Orphans first: what they take is not worth evicting for. Both report to the log.
    void this.#store.reclaimOrphans().then(() => this.#cache.makeRoom())
    this.#cache.startBackground()
  }

  /** After `serve`: resolves when the session is over; null when the mount has gone or we stopped, else what failed. */
  async ended(): Promise<string | null> {
    return reasonOfEnd((await this.#transport?.ended) ?? 0)
  }

  /**
   * Set another ceiling; resolves when what is used fits, see {@link Cache.fit}.
   * @returns bytes used then
   * @throws CacheError invalid-argument
   */
  async setCapacity(capacityBytes: number): Promise<number> {
    await checkCapacity(this.#configuration, capacityBytes)
    const { capacity } = this.#store
    this.#logger.info({ from: capacity.capacityBytes, to: capacityBytes }, 'another capacity')
    capacity.resize(capacityBytes)
    const { cache, ...rest } = this.#configuration
    this.#configuration = { ...rest, cache: { ...cache, capacity: capacityBytes } }
    await this.#cache.fit()
    return capacity.usedBytes
  }

  /**
   * Take what a running mount can of `said`; the rest stays as it is.
   * @throws CacheError invalid-argument; nothing has changed then
   */
  reconfigure(said: Configuration): Promise<ReloadPlan> {
    return this.leaving.holding(said.places, () => this.#reconfigure(said))
  }

  async #reconfigure(said: Configuration): Promise<ReloadPlan> {
    const plan = planReload(this.#configuration, said)
    const { cache, places } = plan.next
    await checkOverlap(plan.next)
    await checkFileSystem(cache)
    this.leaving.mustBeOnce(places)
    const changeFleet = await this.#fleet.service.prepare(await servingSettingsOf(plan.next.fleet, this.#logger))
    // The last step that can fail.
    this.#origins.change(places)
    await changeFleet()
    this.#configuration = plan.next
    const { capacity } = this.#store
    capacity.resize(cache.capacity)
    capacity.setWatermarks(watermarksOf(cache))
    this.#applyToCache()
    await this.#traces.apply(plan.next.tracing)
    await this.leaving.change(plan.leaving, said.places)
    await this.#fleet.group?.reconfigure(plan.next)
    this.librbd.reconfigure(this.#origins.deadlines, plan.next)
    void this.#cache.makeRoom() // Never rejects.
    return plan
  }

  #applyToCache(): void {
    this.#cache.reconfigure(cacheLimitsOf(this.#configuration, this.#origins.mounted))
    this.#transport?.setDeadlines(this.#origins.deadlines)
  }

  /** Operations of the cache for operators. */
  get operations(): CacheOperations {
    return this.#cache.operations
  }

  get fleet(): FleetHandlers {
    return this.#fleet.handlers
  }

  /** Changes when guests ask. */
  requestsSeen(): number {
    const { hits, misses } = measureReads(this.#cache, this.#transport, this.librbd).reads
    return hits + misses + (this.#transport?.gauges().inFlight ?? 0)
  }

  /** For metrics. */
  measurements(): RoomsMeasurements {
    return collectStatus(this.#collected)
  }

  status(): RoomsStatus {
    const { cache, ...rest } = this.live()
    const { images: _, ...measured } = cache
    return { ...rest, cache: measured, images: this.#cache.images(), librbd: this.librbd.status() }
  }

  /** The images of names, one by one. */
  images(): Iterable<ImageStatus> {
    return this.#cache.eachImage()
  }

  /** The part of the status that costs no walk over the cache. */
  live(): LiveRoomsStatus {
    return collectLive(this.#collected, this.#configuration.cache, this.mover.left)
  }

  get #collected(): CollectedRooms {
    const [cache, store, origins, memoryLock] = [this.#cache, this.#store, this.#origins, this.#memoryLock]
    const [transport, lag, librbd] = [this.#transport, this.#lag, this.librbd]
    const fleet = { fleet: this.#fleet.service, registrations: this.#fleet.registrations }
    return { cache, store, origins, memoryLock, transport, lag, ...fleet, traces: this.#traces.counters, librbd }
  }

  /** The transport is the top. Nothing may be mounted any more. Idempotent. */
  async stopServing(): Promise<void> {
    this.#diskWatch.close()
    await this.librbd.close()
    await this.#transport?.stop()
  }

  /** Everything, top-down. Idempotent. */
  async close(): Promise<void> {
    await this.stopServing()
    await this.#closers.closeAll(this.#logger)
  }
}
