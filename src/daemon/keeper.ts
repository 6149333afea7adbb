/**
 * The keeper: holds the mount and the descriptor of /dev/fuse, leads the server, and decides when both end.
 *
 * It promises that a mount never outlives the pair: whatever fails, nothing stays mounted and no process stays. It knows no
 * room and serves no byte; the server does the work. A server that dies takes the mount with it.
 */
import { statfs } from 'node:fs/promises'
import { within } from '../deadline.ts'
import { CacheError, isCacheError, messageOf } from '../errors.ts'
import type { Negotiated } from '../fuse/kernel/negotiation.ts'
import { bootMsMax, mountAnswerMsMax, stopMsMax } from '../limits.ts'
import type { LeveledLogger } from '../logger.ts'
import { findHolders, formatHolders } from './holders.ts'
import type { Refusal, ToKeeper } from './messages.ts'
import type { Mounter } from './mounter.ts'
import type { Exit, ServerProcess } from './server-process.ts'
import type { ServiceManager } from './service-manager.ts'
import type { ConfigurationDocument, Settings } from './settings.ts'

export interface KeeperParts {
  /** Of a mountpoint that has been prepared. */
  readonly mounter: Mounter
  /** Running, and spoken to by nobody yet. */
  readonly server: ServerProcess
  readonly logger: LeveledLogger
  readonly manager: Pick<ServiceManager, 'status' | 'stopping'>
  closeFd(fd: number): void
  /** What a configuration file says. @throws CacheError invalid-argument */
  readConfiguration(file: string): Promise<ConfigurationDocument>
}

/** `starting` until the mount answers; `unmounting` while it is being tried; `stopping` once nothing is mounted. */
type State = 'starting' | 'ready' | 'unmounting' | 'stopping'

type MessageOf<T extends ToKeeper['type']> = Extract<ToKeeper, { type: T }>

export class Keeper {
  /** The exit code, once nothing is mounted and the server has gone. Pending for ever when `start` rejects. */
  readonly finished: Promise<number>
  readonly #settings: Settings
  readonly #parts: KeeperParts
  #state: State = 'starting'
  // INVARIANT: not null from the mount to the end of the server, so that the connection survives the server.
  #fd: number | null = null
  // Something is mounted, or may be.
  #mounting = false
  // What the kernel was told in INIT: there is no second INIT on this descriptor.
  #negotiated: Negotiated | null = null
  #expected: { readonly type: ToKeeper['type']; readonly resolve: (message: ToKeeper) => void } | null = null
  #signals = 0
  // An end that came while we were unmounting: our own unmount ends the session too, a refused one does not.
  #missed: (() => void) | null = null
  // Rejects at the first thing that makes a start pointless; what start() awaits is raced against it.
  readonly #failed: Promise<never>
  #fail!: (error: Error) => void
  #finish!: (code: number) => void

  constructor(settings: Settings, parts: KeeperParts) {
    this.#settings = settings
    this.#parts = parts
    this.finished = new Promise(resolve => {
      this.#finish = resolve
    })
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.#failed.catch(() => {}) // start() sees it; afterwards nobody needs to.
  }

  /** What INIT settled, or null before. */
  get negotiated(): Negotiated | null {
    return this.#negotiated
  }

  /**
   * Bring everything up; the mount is last and answers when this resolves.
   * @throws CacheError whatever stood in the way; then nothing is mounted and the server has gone
   */
  async start(): Promise<void> {
    const { mounter, server, logger } = this.#parts
    try {
      server.onMessage(message => this.#receive(message))
      void server.exited.then(exit => this.#serverExited(exit)) // Handles its own errors.
      const booted = this.#expect('booted', bootMsMax)
      server.send({ type: 'boot', settings: this.#settings, keeperPid: process.pid })
      await this.#mount(await booted)
      const late = () => new CacheError('mount-failed', `mountpoint ${mounter.mountpoint} does not answer`)
      await within(mountAnswerMsMax, Promise.race([statfs(mounter.mountpoint), this.#failed]), late)
    } catch (error) {
      await this.#abandon()
      throw error
    }
    this.#state = 'ready'
    logger.info({ mountpoint: mounter.mountpoint, server: server.pid }, 'mounted')
  }

  /** Resolves when requests are answered. */
  async #mount(booted: MessageOf<'booted'>): Promise<void> {
    const { mounter, server } = this.#parts
    if (booted.mounter === 'server') {
      this.#mounting = true
      const ready = this.#expect('ready', mountAnswerMsMax)
      server.send({ type: 'mount' })
      await ready
      return
    }
    this.#fd = await mounter.mount(booted.source, booted.allowOther)
    this.#mounting = true
    const ready = this.#expect('ready', mountAnswerMsMax)
    server.sendFd(this.#fd)
    server.send({ type: 'mounted', negotiated: null })
    await ready
  }

  /**
   * A signal to end: the first unmounts unless somebody uses the mount, a later one whoever does. SIGHUP of a mount that has a
   * configuration file reads it again.
   */
  async handleSignal(name: string): Promise<void> {
    if (name === 'SIGHUP' && this.#settings.configFile) return this.#reload(null)
    this.#signals++
    if (this.#state === 'starting') {
      this.cancel(`${name} came`)
    } else if (this.#state === 'ready') {
      this.#parts.logger.info({ signal: name }, 'unmounting')
      if ((await this.#unmount(this.#signals > 1)) === null) await this.#stop(0)
    }
  }

  /** Give up a start; once the mount is ready, this does nothing. */
  cancel(why: string): void {
    this.#fail(new CacheError('aborted', `${why} before the mount was up`))
  }

  #receive(message: ToKeeper): void {
    const expected = this.#expected
    if (message.type === 'failed') this.#fail(new CacheError(message.code, message.message))
    else if (message.type === expected?.type) expected.resolve(message)
    else if (message.type === 'negotiated') this.#negotiated = message.negotiated
    else if (message.type === 'unmount')
      void this.#answerUnmount(message) // Answers its own errors.
    else if (message.type === 'reload-request')
      void this.#reload(message.id) // Likewise.
    else if (message.type === 'log-level') this.#parts.logger.level = message.level
    else if (message.type === 'ended') void this.#sessionEnded(message) // Ends in `finished`.
  }

  async #answerUnmount({ id, force }: MessageOf<'unmount'>): Promise<void> {
    const refusal = await this.#unmount(force)
    this.#parts.server.send({ type: 'unmount-answer', id, refusal })
    if (refusal === null) await this.#stop(0)
  }

  /** Read here, not in the server: a parser that is busy holds up no reads. */
  async #reload(id: number | null): Promise<void> {
    const { server, logger, mounter, readConfiguration } = this.#parts
    const { configFile } = this.#settings
    try {
      if (this.#state !== 'ready') throw new CacheError('closed', `${mounter.mountpoint} is ${this.#state}`)
      if (configFile === null) {
        const advice = 'there is nothing to read again'
        throw new CacheError(
          'invalid-argument',
          `${mounter.mountpoint} was mounted without a configuration file: ${advice}`,
        )
      }
      server.send({ type: 'reload', id, document: await readConfiguration(configFile) })
    } catch (error) {
      logger.error({ reason: messageOf(error) }, 'the configuration was not read again; everything stays as it is')
      const code = isCacheError(error) ? error.code : 'invalid-argument'
      if (id !== null) server.send({ type: 'reload-failed', id, code, message: messageOf(error) })
    }
  }

  /** @returns null, or why it stays mounted */
  async #unmount(force: boolean): Promise<Refusal | null> {
    const { mounter, logger } = this.#parts
    if (this.#state !== 'ready') {
      return { code: 'closed', message: `${mounter.mountpoint} is ${this.#state} already`, holders: [] }
    }
    this.#state = 'unmounting'
    try {
      await this.#unmountOrForce(force)
    } catch (error) {
      this.#state = 'ready'
      const missed = this.#missed
      this.#missed = null
      missed?.()
      const busy = isCacheError(error, 'mount-busy')
      const holders = busy ? await findHolders(mounter.mountpoint) : []
      const message = busy ? `${messageOf(error)} by ${formatHolders(holders)}; it stays mounted` : messageOf(error)
      logger.error({ holders }, message)
      this.#parts.manager.status(message)
      return { code: busy ? 'mount-busy' : 'mount-failed', message, holders }
    }
    logger.info({ mountpoint: mounter.mountpoint }, 'unmounted')
    return null
  }

  async #unmountOrForce(force: boolean): Promise<void> {
    try {
      await this.#parts.mounter.unmount(false)
    } catch (error) {
      if (!force) throw error
      this.#parts.logger.warn({ reason: messageOf(error) }, 'unmounting by force')
      await this.#parts.mounter.unmount(true)
    }
  }

  /** Unmounted from outside, or the device gave up. */
  async #sessionEnded(message: MessageOf<'ended'>): Promise<void> {
    const { reason } = message
    // Our own unmount ends the session too; and a start that fails here is told by the server's exit.
    if (this.#state === 'unmounting') this.#missed ??= () => void this.#sessionEnded(message)
    if (this.#state !== 'ready') return
    this.#state = 'unmounting'
    if (reason === null) this.#parts.logger.info({}, 'unmounted from outside')
    else this.#parts.logger.error({ reason }, 'the session failed; unmounting')
    await this.#forceUnmount()
    await this.#stop(reason === null ? 0 : 1)
  }

  async #serverExited(exit: Exit): Promise<void> {
    const advice = exit.code === null && this.#state === 'starting' ? `: ${this.#remedy()}` : ''
    this.#fail(new CacheError('mount-failed', `the server ended with ${exit.how} before the mount was up${advice}`))
    if (this.#state === 'unmounting') this.#missed = () => void this.#serverExited(exit)
    if (this.#state !== 'ready') return
    this.#state = 'stopping'
    this.#parts.manager.stopping(`the server has died: ${exit.how}`)
    this.#parts.logger.error({ how: exit.how }, 'the server has died; unmounting')
    await this.#forceUnmount()
    this.#closeFd()
    this.#finish(1)
  }

  /** LMDB trusts the file that it reads: a server that dies of a signal may have met damage there. */
  #remedy(): string {
    const place =
      this.#settings.cacheDirectory ?? 'the cache directory (below /var/cache/parentfs or ~/.cache/parentfs)'
    return `if it does so again, the index is damaged: remove "index" in ${place} to start with an empty cache`
  }

  /** Nothing is mounted any more: end the server, and with it `finished`. */
  async #stop(code: number): Promise<void> {
    this.#state = 'stopping'
    this.#parts.manager.stopping('unmounted; the server stops')
    const exit = await this.#endServer()
    this.#closeFd()
    if (exit.code !== 0) this.#parts.logger.error({ how: exit.how }, 'the server did not stop cleanly')
    this.#finish(exit.code === 0 ? code : 1)
  }

  /** A start that failed: leave nothing behind. */
  async #abandon(): Promise<void> {
    this.#state = 'stopping'
    if (this.#mounting) await this.#forceUnmount()
    await this.#endServer()
    this.#closeFd()
  }

  async #endServer(): Promise<Exit> {
    const { server } = this.#parts
    server.send({ type: 'stop' })
    try {
      return await within(stopMsMax, server.exited, () => new Error('late'))
    } catch {
      this.#parts.logger.error({ stopMsMax }, 'the server does not stop; killing it')
      server.kill()
      return server.exited
    }
  }

  /** Where the mount has to go whatever happens: problems are logged. */
  async #forceUnmount(): Promise<void> {
    try {
      await this.#parts.mounter.unmount(true)
    } catch (error) {
      this.#parts.logger.error({ reason: messageOf(error) }, 'the mount could not be removed')
    }
  }

  #closeFd(): void {
    if (this.#fd !== null) this.#parts.closeFd(this.#fd)
    this.#fd = null
  }

  /** The next message of that type. */
  #expect<T extends ToKeeper['type']>(type: T, ms: number): Promise<MessageOf<T>> {
    const arrival = new Promise<ToKeeper>(resolve => {
      this.#expected = { type, resolve }
    })
    const late = () => new CacheError('mount-failed', `the server was not ${type} after ${ms / 1000} seconds`)
    const message = within(ms, Promise.race([arrival as Promise<MessageOf<T>>, this.#failed]), late)
    message.catch(() => {}) // Whoever awaits it sees the error; this is for a start that fails before that.
    return message
  }
}
