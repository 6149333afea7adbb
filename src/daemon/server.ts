/**
 * The server: does what its keeper says, and all the work.
 *
 * It ends in three ways: told to stop (exit 0), unable to start (exit 1 after saying why), and left alone by a keeper that died
 * (it removes the mount, which nobody else would, and exits 1).
 */
import { AdminServer, type Admission } from '../admin/admin-server.ts'
import type { AdminOperations } from '../admin/routes.ts'
import type { DaemonState, Status } from '../admin/status.ts'
import { CacheError, isCacheError, messageOf } from '../errors.ts'
import type { Negotiated } from '../fuse/kernel/negotiation.ts'
import type { Logger } from '../logger.ts'
import type { Configuration } from './configuration.ts'
import type { Refusal, ToKeeper, ToServer } from './messages.ts'
import type { RoomsStatus } from './rooms.ts'
import type { LogSettings } from './settings.ts'

/** The keeper as its server sees it. */
export interface KeeperChannel {
  /** Resolves when the message is on its way, or the keeper has gone. */
  send(message: ToKeeper): Promise<void>
  onMessage(listener: (message: ToServer) => void): void
  onDisconnect(listener: () => void): void
}

/** What the server needs of rooms.ts. */
export interface ServerRooms {
  readonly source: string
  serve(fd: number, negotiated: Negotiated | null, onNegotiated: (value: Negotiated) => Promise<void>): Promise<void>
  mount(): Promise<void>
  ended(): Promise<string | null>
  status(): RoomsStatus
  setCapacity(capacityBytes: number): Promise<number>
  readonly operations: AdminOperations
  stopServing(): Promise<void>
  close(): Promise<void>
}

export interface ServerParts {
  readonly channel: KeeperChannel
  readonly version: string
  /** @throws CacheError invalid-argument */
  configure(message: Extract<ToServer, { type: 'boot' }>): Configuration
  createLogger(settings: LogSettings): Promise<Logger>
  openRooms(configuration: Configuration, logger: Logger, signal: AbortSignal): Promise<ServerRooms>
  adminSocketPath(configuration: Configuration): string
  /** Whom the admin socket hears. */
  readonly admission: Admission
  /** The descriptor of /dev/fuse that the keeper has sent. */
  receiveFd(): number
  closeFd(fd: number): void
  /** Take the mount away, whoever uses it. */
  detach(mountpoint: string): Promise<void>
  exit(code: number): void
}

export class Server {
  readonly #parts: ServerParts
  readonly #startedMs = performance.now()
  readonly #stopped = new AbortController()
  #state: DaemonState = 'starting'
  #booting: Promise<void> = Promise.resolve()
  #configuration: Configuration | null = null
  #keeperPid = 0
  #logger: Logger | null = null
  #rooms: ServerRooms | null = null
  #admin: AdminServer | null = null
  #fd: number | null = null
  #mounted = false
  readonly #unmounts = new Map<number, (refusal: Refusal | null) => void>()
  #unmountId = 0

  constructor(parts: ServerParts) {
    this.#parts = parts
  }

  /** Listen to the keeper from now on. */
  run(): void {
    const { channel } = this.#parts
    channel.onMessage(message => this.#receive(message))
    channel.onDisconnect(() => void this.#keeperGone()) // Ends in an exit.
  }

  #receive(message: ToServer): void {
    // Each of these handles its own errors.
    if (message.type === 'boot') this.#booting = this.#orFail(() => this.#boot(message))
    else if (message.type === 'mounted') void this.#orFail(() => this.#serve(message))
    else if (message.type === 'mount') void this.#orFail(() => this.#serve(message))
    else if (message.type === 'unmount-answer') this.#unmounts.get(message.id)?.(message.refusal)
    else void this.#stop(0)
  }

  async #boot(message: Extract<ToServer, { type: 'boot' }>): Promise<void> {
    const { channel } = this.#parts
    const configuration = this.#parts.configure(message)
    this.#configuration = configuration
    this.#keeperPid = message.keeperPid
    const logger = await this.#parts.createLogger(message.settings.log)
    this.#logger = logger
    const rooms = await this.#parts.openRooms(configuration, logger, this.#stopped.signal)
    this.#rooms = rooms
    const handlers = {
      status: () => this.#status(configuration, rooms),
      unmount: (force: boolean) => this.#askUnmount(force),
      setCapacity: (capacityBytes: number) => rooms.setCapacity(capacityBytes),
      operations: rooms.operations,
    }
    const { adminSocketPath, admission } = this.#parts
    this.#admin = await AdminServer.listen(adminSocketPath(configuration), handlers, admission)
    const bootMs = Math.round(performance.now() - this.#startedMs)
    logger.info({ origin: rooms.source, cacheDirectory: configuration.cache.directory, bootMs }, 'booted')
    const mounter = configuration.transport === 'fuse-native' ? 'server' : 'keeper'
    await channel.send({ type: 'booted', source: rooms.source, allowOther: configuration.allowOther, mounter })
  }

  async #serve(message: Extract<ToServer, { type: 'mounted' | 'mount' }>): Promise<void> {
    const { channel } = this.#parts
    const rooms = this.#rooms
    if (!rooms) throw new CacheError('mount-failed', 'mounted before the boot was done')
    this.#mounted = true
    if (message.type === 'mounted') {
      this.#fd = this.#parts.receiveFd()
      await rooms.serve(this.#fd, message.negotiated, value => channel.send({ type: 'negotiated', negotiated: value }))
    } else {
      await rooms.mount()
    }
    this.#state = 'ready'
    await channel.send({ type: 'ready' })
    const reason = await rooms.ended()
    if (this.#state === 'ready') await channel.send({ type: 'ended', reason })
  }

  /** What cannot start says why, leaves nothing open, and ends. */
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

  #status(configuration: Configuration, rooms: ServerRooms): Status {
    return {
      version: this.#parts.version,
      mountpoint: configuration.mountpoint,
      transport: configuration.transport,
      state: this.#state,
      pid: process.pid,
      keeperPid: this.#keeperPid,
      uptimeSeconds: Math.round((performance.now() - this.#startedMs) / 1000),
      ...rooms.status(),
    }
  }

  async #askUnmount(force: boolean): Promise<Refusal | null> {
    const id = ++this.#unmountId
    const answer = new Promise<Refusal | null>(resolve => this.#unmounts.set(id, resolve))
    await this.#parts.channel.send({ type: 'unmount', id, force })
    const refusal = await answer
    this.#unmounts.delete(id)
    return refusal
  }

  async #stop(code: number): Promise<void> {
    this.#stopped.abort()
    await this.#booting
    await this.#close()
    this.#parts.exit(code)
  }

  async #keeperGone(): Promise<void> {
    if (this.#state === 'stopping') return
    this.#logger?.error({}, 'the keeper has died; unmounting')
    try {
      if (this.#mounted && this.#configuration) await this.#parts.detach(this.#configuration.mountpoint)
    } catch (error) {
      this.#logger?.error({ err: error }, 'the mount could not be removed')
    }
    await this.#stop(1)
  }

  /** Top-down: the transport, the admin socket, the other rooms. */
  async #close(): Promise<void> {
    const wasReady = this.#state === 'ready'
    this.#state = 'stopping'
    await this.#rooms?.stopServing()
    await this.#admin?.close()
    await this.#rooms?.close()
    if (this.#fd !== null) this.#parts.closeFd(this.#fd)
    this.#fd = null
    // Of a start that failed there is one line to read, and this is not it.
    if (wasReady) this.#logger?.info({}, 'stopped')
  }
}
