/**
 * The worker: follows the supervisor's messages and does all the work.
 *
 * It ends in three ways: told to stop (exit 0), unable to start (exit 1 after saying why), and left alone by a
 * supervisor that died (exit 1; it removes the mount, unless the service manager holds that for another supervisor).
 */

import { AdminServer, type Admission } from '../../admin/admin-server.ts'
import { measureProcess } from '../../admin/measurements.ts'
import { Metrics } from '../../admin/metrics.ts'
import type { MetricsPort } from '../../admin/metrics-port.ts'
import type { ReloadOutcome } from '../../admin/routes.ts'
import type { DaemonState, Status } from '../../admin/status.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import type { LeveledLogger, ProcessLog } from '../../base/logger.ts'
import type { InflightJournalOptions } from '../../fuse/kernel/inflight-journal.ts'
import { type Negotiated, repeatsRequests } from '../../fuse/kernel/negotiation.ts'
import type { Configuration } from '../config/configuration.ts'
import { documentAfterReload } from '../config/document-after-reload.ts'
import { movedTo } from '../config/plan-reload.ts'
import type { CacheMove, ConfigurationDocument, LogSettings, Settings } from '../config/settings.ts'
import {
  noTakeovers,
  preparedProtocol,
  protocolVersion,
  type ToWorker,
  type UnmountRefused,
  type UpgradeOutcome,
} from '../ipc/messages.ts'
import { PendingCalls } from '../ipc/pending-calls.ts'
import { readerOfSupervisor } from '../ipc/validate-message.ts'
import type { Mounter } from '../mount/mounter.ts'
import type { RoomsStatus } from './collect-status.ts'
import type { LeavingOrigins } from './leaving-origins.ts'
import { warmUpIdleMs, warmUpLooksMax } from './limits.ts'
import { MountPage } from './mount-page.ts'
import { openMetricsPort } from './open-metrics-port.ts'
import type { SupervisorChannel } from './supervisor-channel.ts'
import { unmountOrLog, WorkerLibrbd } from './worker-librbd.ts'
import type { WorkerRooms } from './worker-rooms.ts'

export interface WorkerContext {
  readonly channel: SupervisorChannel
  readonly version: string
  /** Paths of those that are loaded. */
  addons(): string[]
  /** @throws CacheError invalid-argument */
  configure(settings: Pick<Settings, 'document' | 'mountpoint'>): Configuration
  createLogger(settings: LogSettings, isAwaited: boolean): Promise<ProcessLog>
  /** @param doubts why the cache must be passed by, or its index copied, or null; and whether guests wait */
  openRooms(
    configuration: Configuration,
    logger: LeveledLogger,
    signal: CancelSignal,
    doubts: Pick<MessageTo<'boot'>, 'bypass' | 'indexDoubt' | 'isAwaited'> & { readonly move: CacheMove | null },
  ): Promise<WorkerRooms>
  adminSocketPath(configuration: Configuration): string
  /** Is the cache there one that we can read, or none yet? @throws CacheError cache-layout, cache-foreign */
  checkLayout(configuration: Configuration): void
  /** The users that the admin socket serves. */
  readonly admission: Admission
  /** The descriptor of /dev/fuse that the supervisor has sent. */
  receiveFd(): number
  closeFd(fd: number): void
  /** See WorkNotesOptions.write. */
  readonly writeNotes: InflightJournalOptions['write']
  mounter(mountpoint: string): Pick<Mounter, 'adopt' | 'unmount'>
  /** Never rejects; ends soon once it is unwanted. See warm-up.ts. */
  warmUp(configuration: Configuration, isUnwanted: () => boolean): Promise<void>
  exit(code: number): void
}

type ReloadMessage = Extract<ToWorker, { readonly type: 'reload' | 'reload-failed' }>
type MessageTo<T extends ToWorker['type']> = Extract<ToWorker, { readonly type: T }>

export class Worker {
  readonly #parts: WorkerContext
  readonly #startedMs = performance.now()
  readonly #stopped = new AbortController()
  #state: DaemonState = 'starting'
  #booting: Promise<void> = Promise.resolve()
  #configuration: Configuration | null = null
  #keeperPid = 0
  #configFile: string | null = null
  #logger: LeveledLogger | null = null
  #rooms: WorkerRooms | null = null
  #admin: AdminServer | null = null
  #metricsPort: MetricsPort | null = null
  #page: MountPage | null = null
  #fd: number | null = null
  readonly #librbd = new WorkerLibrbd(() => this.#parts)
  /** Not null while something of ours is mounted, or may be. */
  #mounter: Pick<Mounter, 'unmount'> | null = null
  readonly #unmounts = new PendingCalls<UnmountRefused | null>()
  readonly #reloads = new PendingCalls<ReloadMessage>()
  readonly #upgrades = new PendingCalls<UpgradeOutcome>()
  #history: Pick<MessageTo<'history'>, 'takeovers' | 'kept'> = { takeovers: noTakeovers, kept: false }
  /** The agreement of INIT lets another worker take over. */
  #canBeFollowed = false
  /** One after the other, the first when it serves or never will. */
  #reloading: Promise<unknown>
  #hasStarted: () => void = () => {}
  #document: ConfigurationDocument = {}
  /** The path of a miss has been exercised. */
  #isWarm = false
  /** It has removed its directory then. */
  #warmedUp: Promise<void> = Promise.resolve()

  constructor(parts: WorkerContext) {
    this.#parts = parts
    this.#reloading = new Promise<void>(resolve => {
      this.#hasStarted = resolve
    })
  }

  /** Listen to the supervisor from now on. */
  run(): void {
    const { channel } = this.#parts
    const ignored = (type: string, why: string) =>
      this.#logger?.warn({ type, why }, 'a message of the supervisor is ignored')
    const read = readerOfSupervisor(ignored)
    channel.onMessage(value => {
      const message = read(value)
      if (message) this.#receive(message)
    })
    channel.onDisconnect(() => void this.#supervisorGone()) // Ends in an exit.
    void channel.send({ type: 'hello', version: this.#parts.version, protocol: protocolVersion }) // Never rejects.
  }

  #receive(message: ToWorker): void {
    // Each of these handles its own errors.
    if (message.type === 'boot') this.#booting = this.#orFail(() => this.#boot(message))
    else if (message.type === 'mounted') void this.#orFail(() => this.#serve(message))
    else if (message.type === 'mount') void this.#orFail(() => this.#serve(message))
    else if (message.type === 'ping') void this.#parts.channel.send({ type: 'pong' })
    else if (message.type === 'unmount-answer') this.#unmounts.answered(message.id, message.refusal)
    else if (message.type === 'reload-failed') this.#reloads.answered(message.id, message)
    else if (message.type === 'reload') this.#receiveReload(message)
    else if (message.type === 'prepare') void this.#orFail(() => this.#prepare(message))
    else if (message.type === 'history') {
      this.#history = message
      this.#librbd.isKept = message.librbdKept === true
    } else if (message.type === 'upgrade-answer') this.#upgrades.answered(message.id, message.outcome)
    else if (message.type === 'librbd-end') void this.#librbd.end()
    else if (message.type === 'stop') void this.#stop(0)
  }

  async #prepare({ settings, isAwaited }: MessageTo<'prepare'>): Promise<void> {
    const { channel, configure, checkLayout, version } = this.#parts
    const configuration = configure(settings)
    checkLayout(configuration)
    if (isAwaited === false) await this.#warmUp(configuration)
    await channel.send({ type: 'prepared', version, protocol: preparedProtocol })
  }

  async #boot(message: Extract<ToWorker, { type: 'boot' }>): Promise<void> {
    const { channel } = this.#parts
    const configuration = this.#parts.configure(message.settings)
    this.#configuration = configuration
    this.#document = message.settings.document
    this.#keeperPid = message.keeperPid
    this.#configFile = message.settings.configFile
    const { logger, linesLost } = await this.#parts.createLogger(message.settings.log, message.isAwaited ?? false)
    this.#logger = logger
    const { bypass, indexDoubt } = message
    const { move = null } = message.settings // An older supervisor does not say all of it.
    const doubts = { bypass, indexDoubt: indexDoubt ?? null, isAwaited: message.isAwaited ?? false, move }
    // After a crash loop nothing is done that need not be.
    this.#isWarm ||= bypass !== null
    if (message.isAwaited === false) await this.#warmUp(configuration)
    const rooms = await this.#parts.openRooms(configuration, logger, this.#stopped.signal, doubts)
    this.#rooms = rooms
    rooms.leaving.start(message.settings.leaving ?? [], departure => channel.send(departure))
    const { version } = this.#parts
    const metrics = new Metrics(() => {
      const [admin, port, web] = [this.#admin, this.#metricsPort, this.#page].map(each => each?.refused ?? 0)
      const refusedConnections = { admin: admin!, metrics: port!, web: web! }
      const [process, fleet] = [{ ...measureProcess(), logLinesLost: linesLost() }, rooms.fleet.status()]
      return { version, state: this.#state, fleet, process, refusedConnections, ...rooms.measurements() }
    })
    const live = () => ({ ...this.#identity(configuration), ...rooms.live() })
    const [{ operations }, reports] = [rooms, { fleet: () => rooms.fleet.status() }]
    const page = (this.#page = new MountPage({ live, images: () => rooms.images(), operations, reports }, logger))
    const handlers = {
      metrics: () => metrics.text(),
      status: () => this.#status(configuration, rooms),
      unmount: (force: boolean) => this.#askUnmount(force),
      setCapacity: async (capacityBytes: number) => {
        const usedBytes = await rooms.setCapacity(capacityBytes)
        await channel.send({ type: 'capacity', capacityBytes })
        return usedBytes
      },
      reload: () => this.#askReload(),
      moveCache: (directory: string) =>
        rooms.mover.move(directory, move =>
          this.#upgrades.call(id => channel.send({ type: 'move-request', id, ...move })),
        ),
      upgrade: (directory: string | null) =>
        this.#upgrades.call(id => channel.send({ type: 'upgrade-request', id, directory })),
      operations,
      removeOrigin: (...asked: Parameters<LeavingOrigins['remove']>) => rooms.leaving.remove(...asked),
      ...{ fleet: rooms.fleet, librbd: rooms.librbd },
      web: page.handle,
    }
    const { adminSocketPath, admission } = this.#parts
    this.#admin = await AdminServer.listen(adminSocketPath(configuration), handlers, admission)
    this.#metricsPort = await openMetricsPort(configuration.metrics.port, handlers.metrics, logger)
    await page.apply(configuration.web)
    const bootMs = Math.round(performance.now() - this.#startedMs)
    logger.info({ origin: rooms.source, cacheDirectory: configuration.cache.directory, bootMs }, 'booted')
    const { allowOther, transport, worker } = configuration
    const mounter = transport === 'fuse-native' ? 'server' : 'keeper'
    const restarts = { deathsMax: worker.crashLimit, wellMs: worker.stableAfter }
    await channel.send({
      type: 'booted',
      ...{ source: rooms.source, allowOther, mounter, restarts },
      addons: this.#parts.addons(),
      librbd: this.#librbd.placeFor(configuration),
    })
  }

  async #serve(message: Extract<ToWorker, { type: 'mounted' | 'mount' }>): Promise<void> {
    const { channel } = this.#parts
    const [rooms, configuration] = [this.#rooms, this.#configuration]
    if (!rooms || !configuration) throw new CacheError('mount-failed', 'mounted before the boot was done')
    const mounter = this.#parts.mounter(configuration.mountpoint)
    this.#mounter = mounter
    if (message.type === 'mounted') {
      this.#fd = this.#parts.receiveFd()
      await mounter.adopt(this.#fd)
      const onNegotiated = (negotiated: Negotiated) => {
        this.#canBeFollowed = repeatsRequests(negotiated)
        return channel.send({ type: 'negotiated', negotiated })
      }
      const { negotiated, judgement, kept } = message
      this.#history = { ...this.#history, kept: kept === true } // An older supervisor does not say.
      this.#canBeFollowed = negotiated !== null
      if (message.librbd) await this.#librbd.serve(rooms, configuration, message.librbd)
      await rooms.serve({ fd: this.#fd, negotiated, work: { judgement, write: this.#parts.writeNotes }, onNegotiated })
    } else {
      await rooms.mount()
      await mounter.adopt(null)
    }
    this.#state = 'ready'
    this.#hasStarted()
    await channel.send({ type: 'ready' })
    void this.#warmUpWhenIdle(configuration, rooms) // Never rejects.
    void rooms.mover.emptyLeft(from => channel.send({ type: 'move-cleaned', from })) // Never rejects.
    const reason = await rooms.ended()
    if (reason === null) this.#mounter = null
    if (this.#state === 'ready') await channel.send({ type: 'ended', reason })
  }

  async #warmUp(configuration: Configuration, isUnwanted = () => false): Promise<void> {
    if (this.#isWarm) return
    this.#isWarm = true
    const { signal } = this.#stopped
    this.#warmedUp = this.#parts.warmUp(configuration, () => signal.aborted || isUnwanted())
    await this.#warmedUp
  }

  /** Guests that ask in each of the first seconds warm it up themselves. */
  async #warmUpWhenIdle(configuration: Configuration, rooms: WorkerRooms): Promise<void> {
    const { signal } = this.#stopped
    for (let looks = 0; looks < warmUpLooksMax && !this.#isWarm; looks++) {
      const seen = rooms.requestsSeen()
      await pause(warmUpIdleMs, signal)
      if (signal.aborted) return
      if (rooms.requestsSeen() === seen) await this.#warmUp(configuration, () => rooms.requestsSeen() !== seen)
    }
  }

  /** A failed step is reported, leaves nothing open, and ends the worker. */
  async #orFail(step: () => Promise<void>): Promise<void> {
    try {
      await step()
    } catch (error) {
      const code = isCacheError(error) ? error.code : 'mount-failed'
      this.#logger?.debug({ err: error }, 'cannot start')
      await this.#parts.channel.send({ type: 'failed', code, message: messageOf(error) })
      await this.#close()
      this.#parts.exit(1)
    }
  }

  #status(configuration: Configuration, rooms: WorkerRooms): Status {
    return { ...this.#identity(configuration), ...rooms.status() }
  }

  #identity(configuration: Configuration): Omit<Status, keyof RoomsStatus> {
    return {
      version: this.#parts.version,
      mountpoint: configuration.mountpoint,
      transport: configuration.transport,
      state: this.#state,
      pid: process.pid,
      supervisorPid: this.#keeperPid,
      configFile: this.#configFile,
      logFile: configuration.log.file,
      takeovers: { possible: this.#canBeFollowed, heldByManager: this.#history.kept, ...this.#history.takeovers },
      uptimeSeconds: Math.round((performance.now() - this.#startedMs) / 1000),
    }
  }

  #askUnmount(force: boolean): Promise<UnmountRefused | null> {
    return this.#unmounts.call(id => this.#parts.channel.send({ type: 'unmount', id, force }))
  }

  /** The supervisor reads the file and sends what it says. */
  async #askReload(): Promise<ReloadOutcome> {
    const message = await this.#reloads.call(id => this.#parts.channel.send({ type: 'reload-request', id }))
    if (message.type === 'reload-failed') throw new CacheError(message.code, message.message)
    return this.#reload(message.document)
  }

  #receiveReload(message: Extract<ToWorker, { type: 'reload' }>): void {
    if (message.id === null)
      void this.#reload(message.document).catch(() => {}) // It is in the log.
    else this.#reloads.answered(message.id, message)
  }

  /** @throws CacheError invalid-argument; nothing has changed then */
  #reload(document: ConfigurationDocument): Promise<ReloadOutcome> {
    const reloaded = this.#reloading.then(() => this.#apply(document))
    this.#reloading = reloaded.catch(() => {})
    return reloaded
  }

  async #apply(document: ConfigurationDocument): Promise<ReloadOutcome> {
    const { configure, channel } = this.#parts
    const [configuration, rooms, logger] = [this.#configuration, this.#rooms, this.#logger]
    if (!configuration || !rooms || !logger || this.#state !== 'ready') throw new CacheError('closed', 'not mounted')
    try {
      const { mountpoint } = configuration
      const { next, changed, waiting: below, kept } = await rooms.reconfigure(configure({ document, mountpoint }))
      const moved = document.mountpoint === this.#document.mountpoint ? [] : [movedTo(mountpoint, document)]
      const waiting = [...moved, ...below]
      logger.info({ changed, waiting }, 'the configuration was read again')
      logger.level = next.log.level
      await this.#page?.apply(next.web)
      this.#keepDocument(documentAfterReload(document, this.#document, [['mountpoint'], ...kept]), mountpoint)
      await channel.send({ type: 'log-level', level: next.log.level, document: this.#document })
      return { changed, waiting }
    } catch (error) {
      logger.error({ err: error }, 'the configuration was not applied; everything stays as it is')
      throw error
    }
  }

  /** A next worker has to be able to boot with it: settings that wait and others that do not may be wrong together. */
  #keepDocument(document: ConfigurationDocument, mountpoint: string): void {
    try {
      this.#parts.configure({ document, mountpoint })
      this.#document = document
    } catch (error) {
      const message = 'the next worker has the configuration of before: that of now is not usable until the next mount'
      this.#logger?.error({ reason: messageOf(error) }, message)
    }
  }

  async #stop(code: number): Promise<void> {
    this.#stopped.abort()
    await this.#booting
    await this.#close()
    await this.#warmedUp
    this.#parts.exit(code)
  }

  async #supervisorGone(): Promise<void> {
    if (this.#state === 'stopping') return
    await this.#librbd.abandon(this.#logger)
    // Another supervisor is on its way, and its worker waits for what we have locked.
    if (this.#history.kept) return this.#parts.exit(1)
    this.#logger?.error({}, 'the supervisor has died; unmounting')
    await unmountOrLog(this.#mounter, this.#logger)
    await this.#stop(1)
  }

  /** Top-down: the transport, the admin socket, the other rooms. */
  async #close(): Promise<void> {
    const wasReady = this.#state === 'ready'
    this.#state = 'stopping'
    this.#hasStarted()
    // The supervisor speaks with the next worker now: readers would wait for callers that hear nothing more.
    const error = new CacheError('closed', 'another worker takes over, or the mount goes: try again')
    for (const calls of [this.#unmounts, this.#reloads, this.#upgrades]) calls.end(error)
    await this.#rooms?.stopServing()
    await this.#metricsPort?.close()
    await this.#page?.close()
    await this.#admin?.close()
    await this.#rooms?.close()
    if (this.#fd !== null) this.#parts.closeFd(this.#fd)
    this.#fd = null
    this.#librbd.close()
    // Of a start that failed there is one line to read, and this is not it.
    if (wasReady) this.#logger?.info({}, 'stopped')
  }
}
