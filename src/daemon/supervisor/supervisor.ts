/**
 * The supervisor: holds the mount and the descriptor of /dev/fuse, and decides when both end.
 *
 * It promises that a mount never outlives supervisor and worker: whatever fails, nothing stays mounted and no process
 * stays. It serves no byte; workers do the work, one after the other (worker-supervisor.ts). When one dies, the kernel
 * keeps the requests for the next as long as the descriptor is open here.
 */
import { statfs } from 'node:fs/promises'
import { pause } from '../../async/pause.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import { type Negotiated, repeatsRequests } from '../../fuse/kernel/negotiation.ts'
import type { Settings } from '../config/settings.ts'
import type { MounterProcess, ToSupervisor, UnmountRefused } from '../ipc/messages.ts'
import { mountAnswerMsMax } from '../mount/limits.ts'
import type { KeptMount } from './descriptor-store.ts'
import { pingsPerWatchdog, workerAskMsMax } from './limits.ts'
import type { SupervisorContext } from './supervisor-context.ts'
import { forceUnmount, staysForReaders, tryToUnmount } from './unmounting.ts'
import type { MessageOf, WorkerHandshake } from './worker-handshake.ts'
import type { WorkerExit } from './worker-process.ts'
import { WorkerSettings } from './worker-settings.ts'
import { WorkerSupervisor } from './worker-supervisor.ts'

/** `starting` until the mount answers; `unmounting` while it is being tried; `stopping` once nothing is mounted. */
type State = 'starting' | 'ready' | 'unmounting' | 'stopping'

export class Supervisor {
  /** The exit code, once nothing is mounted and the worker has gone. Pending for ever when `start` rejects. */
  readonly finished: Promise<number>
  readonly #settings: WorkerSettings
  readonly #parts: SupervisorContext
  #state: State = 'starting'
  // INVARIANT: not null from the mount to the end of the worker, so that the connection survives the worker.
  #fd: number | null = null
  // Something is mounted, or may be.
  #mounting = false
  #hasStopped = false
  // The agreement of INIT: there is no second INIT on this descriptor.
  #negotiated: Negotiated | null = null
  #signals = 0
  // A signal to reload came while no worker served: the next one hears of it.
  #owesReload = false
  // While the state is `unmounting`: whether it becomes `ready` again is being found out. Never rejects.
  #attempt: Promise<unknown> | null = null
  // Why no worker serves, once none will.
  #givenUp: string | null = null
  // An end that came while we were unmounting: our own unmount ends the session too, a refused one does not.
  #missed: (() => void) | null = null
  // The process that mounted: a worker's mount goes with it.
  #mountedBy: MounterProcess = 'keeper'
  readonly #workers: WorkerSupervisor
  #finish!: (code: number) => void

  constructor(settings: Settings, parts: SupervisorContext) {
    this.#settings = new WorkerSettings(settings, file => parts.readConfiguration(file))
    this.#parts = parts
    this.finished = new Promise(resolve => {
      this.#finish = resolve
    })
    this.#workers = new WorkerSupervisor({
      ...parts,
      settings: () => this.#settings.current,
      serve: (link, booted) => this.#serve(link, booted),
      onMessage: message => this.#receive(message),
      onDeath: exit => this.#workerDied(exit),
      onDoubt: (why, isNew) => this.#mayWait(why, isNew),
      onTakeover: ({ lastPauseMs }) => {
        this.#hold()
        if (this.#owesReload) void this.#reload(null) // Never rejects.
        parts.sayTrouble(null)
        parts.manager.status(`mounted on ${parts.mounter.mountpoint}; another worker took over in ${lastPauseMs} ms`)
      },
      onAlive: () => this.#state !== 'starting' && parts.manager.alive(),
      askMs: Math.min(workerAskMsMax, (parts.manager.watchdogMs ?? Infinity) / pingsPerWatchdog),
      onGivenUp: why => void this.#end(why), // Ends in `finished`.
      ...{ now: () => performance.now(), pause },
    })
  }

  /**
   * Bring everything up; the mount is last and answers when this resolves.
   * @throws CacheError whatever stood in the way; then nothing is mounted and the worker has gone
   */
  async start(): Promise<void> {
    const { mounter, logger, kept } = this.#parts
    if (kept) return this.#goOn(kept)
    try {
      await this.#workers.start()
      const late = () => new CacheError('mount-failed', `mountpoint ${mounter.mountpoint} does not answer`)
      await withTimeout(mountAnswerMsMax, this.#workers.orFailed(statfs(mounter.mountpoint)), late)
    } catch (error) {
      await this.#abandon()
      throw error
    }
    this.#state = 'ready'
    this.#hold()
    logger.info({ mountpoint: mounter.mountpoint, worker: this.#workers.pid }, 'mounted')
  }

  /**
   * Goes on after a supervisor that has died: its mount is there, its workers were ours. @throws CacheError when none
   * can go on with it
   */
  async #goOn({ fd, state }: KeptMount): Promise<void> {
    const { mounter, logger } = this.#parts
    this.#fd = fd
    this.#negotiated = state.negotiated
    this.#mounting = true
    this.#state = 'ready'
    await mounter.adopt(fd, state.device)
    logger.warn({ mountpoint: mounter.mountpoint }, 'an earlier supervisor has died; going on with its mount')
    await this.#workers.resume(state)
    if (this.#givenUp !== null) throw new CacheError('mount-failed', `${mounter.mountpoint}: ${this.#givenUp}`)
  }

  /**
   * Should we die, the service manager has the state for the next supervisor; the worker is told, because then it must
   * not unmount.
   */
  #hold(): void {
    const { mounter, store, librbd } = this.#parts
    const { past } = this.#workers
    const [fd, negotiated, { device }] = [this.#fd, this.#negotiated, mounter]
    const settings = this.#settings.current
    const isWhole = fd !== null && negotiated !== null && repeatsRequests(negotiated) && device !== null
    if (isWhole) store.hold(fd, { settings, negotiated, device, librbd: librbd.state, ...past })
    const [kept, librbdKept] = [store.isHeld, store.isLibrbdHeld]
    this.#workers.send({ type: 'history', takeovers: past.takeovers, kept, librbdKept })
  }

  /** Resolves when requests are answered. */
  async #serve(link: WorkerHandshake, booted: MessageOf<'booted'>): Promise<void> {
    this.#mountedBy = booted.mounter
    if (booted.mounter === 'server') {
      this.#mounting = true
      await link.mount()
      return this.#parts.mounter.adopt(null)
    }
    this.#fd ??= await this.#parts.mounter.mount(this.#settings.current.source ?? booted.source, booted.allowOther)
    this.#mounting = true
    const { store } = this.#parts
    const librbd = await this.#parts.librbd.handOver(booted.librbd ?? null)
    try {
      await link.serve(this.#fd, this.#negotiated, this.#workers.judgement, store, librbd)
    } finally {
      if (librbd) this.#parts.closeFd(librbd.channel)
    }
  }

  /**
   * A signal to end: the first unmounts unless the mount is in use, a later one in any case. SIGHUP of a mount that has
   * a configuration file reloads it.
   */
  async handleSignal(name: string): Promise<void> {
    if (name === 'SIGHUP' && this.#settings.current.configFile) return this.#reload(null)
    this.#signals++
    if (this.#state === 'starting') {
      this.cancel(`${name} came`)
    } else if (this.#state !== 'stopping') {
      this.#parts.logger.info({ signal: name }, 'unmounting')
      if ((await this.#unmount(this.#signals > 1)) === null) await this.#stop(0)
    }
  }

  /** Give up a start; once the mount is ready, this does nothing. */
  cancel(why: string): void {
    if (this.#state === 'starting') this.#workers.giveUp(new CacheError('aborted', `${why} before the mount was up`))
  }

  #receive(message: ToSupervisor): void {
    // Slow handlers answer their own errors.
    if (message.type === 'negotiated') this.#negotiated = message.negotiated
    else if (message.type === 'view-negotiated') {
      this.#parts.librbd.negotiated(message.negotiated)
      if (this.#state === 'ready') this.#hold()
    } else if (message.type === 'librbd-ended') this.#parts.librbd.ended()
    else if (message.type === 'unmount') void this.#answerUnmount(message)
    else if (message.type === 'reload-request') void this.#reload(message.id)
    else if (message.type === 'upgrade-request') void this.#upgrade(message)
    else if (message.type === 'move-request') void this.#move(message)
    else if (message.type === 'move-cleaned') {
      this.#settings.cleaned(message.from)
      this.#hold()
    } else if (message.type === 'origin-leaving') {
      this.#settings.leaving(message.directory)
      this.#hold()
    } else if (message.type === 'origin-removed') {
      this.#settings.removed(message.directory)
      this.#hold()
    } else if (message.type === 'capacity') {
      this.#settings.setCapacity(message.capacityBytes)
      this.#hold()
    } else if (message.type === 'log-level') {
      this.#settings.taken(message.document)
      this.#settings.setLogLevel(message.level)
      this.#hold()
      this.#parts.logger.level = message.level
    } else if (message.type === 'ended') void this.#sessionEnded(message) // Ends in `finished`.
  }

  async #answerUnmount({ id, force }: MessageOf<'unmount'>): Promise<void> {
    const refusal = await this.#unmount(force)
    this.#workers.send({ type: 'unmount-answer', id, refusal })
    if (refusal === null) await this.#stop(0)
  }

  /** Read here, not in the worker: a parser that is busy holds up no reads. */
  async #reload(id: number | null): Promise<void> {
    const { logger, mounter } = this.#parts
    this.#owesReload = id === null && this.#state !== 'starting' && !this.#workers.serves
    if (this.#owesReload) return
    try {
      if (this.#state !== 'ready') throw new CacheError('closed', `${mounter.mountpoint} is ${this.#state}`)
      this.#workers.send({ type: 'reload', id, document: await this.#settings.readAgain() })
    } catch (error) {
      logger.error({ reason: messageOf(error) }, 'the configuration was not read again; everything stays as it is')
      const code = isCacheError(error) ? error.code : 'invalid-argument'
      if (id !== null) this.#workers.send({ type: 'reload-failed', id, code, message: messageOf(error) })
    }
  }

  #upgrade({ id, directory }: MessageOf<'upgrade-request'>): Promise<void> {
    return this.#exchange(id, () => this.#workers.prepare(directory))
  }

  /** From the boot of a worker in the new directory on, that one is in force; until then, the old one. */
  #move({ id, from, directory: to, passed }: MessageOf<'move-request'>): Promise<void> {
    const move = { from, to, passed }
    const onBooted = () => {
      this.#settings.moved(move)
      this.#hold()
    }
    const change = { settings: () => this.#settings.movingTo(move), onBooted }
    return this.#exchange(id, () => this.#workers.prepare(this.#workers.past.directory, change))
  }

  /** Have another worker take over, and tell the one that asked before it ends. */
  async #exchange(id: number, prepare: () => ReturnType<WorkerSupervisor['prepare']>): Promise<void> {
    const { logger } = this.#parts
    try {
      if (this.#state !== 'ready') throw new CacheError('closed', `the mount is ${this.#state}`)
      if (!this.#canTakeOver) {
        throw new CacheError('invalid-argument', 'here no worker can take over from another: unmount, and mount again')
      }
      const { version, takeOver } = await prepare()
      logger.info({ version }, 'another worker is ready')
      this.#workers.send({ type: 'upgrade-answer', id, outcome: { version, refusal: null } })
      await takeOver()
    } catch (error) {
      const refusal = { code: isCacheError(error) ? error.code : 'mount-failed', message: messageOf(error) } as const
      logger.error({ reason: refusal.message }, 'no upgrade; everything stays as it is')
      this.#workers.send({ type: 'upgrade-answer', id, outcome: { version: null, refusal } })
    }
  }

  /** @returns null, or why it stays mounted */
  async #unmount(force: boolean): Promise<UnmountRefused | null> {
    // Who asks during an attempt may ask for more than it does: by force.
    while (this.#attempt) await this.#attempt
    if (this.#state === 'ready') return await this.#attemptTo(() => this.#unmountOrStay(force))
    if (this.#state === 'stopping') return null
    const { mountpoint } = this.#parts.mounter
    return { code: 'closed', message: `${mountpoint} is ${this.#state} already`, holders: [] }
  }

  async #unmountOrStay(force: boolean): Promise<UnmountRefused | null> {
    const { mounter, logger, manager } = this.#parts
    const refusal = await tryToUnmount(mounter, force, logger)
    this.#state = refusal === null ? 'stopping' : 'ready'
    if (refusal === null) return null
    const missed = this.#missed
    this.#missed = null
    missed?.()
    manager.status(refusal.message)
    return refusal
  }

  #attemptTo<T>(work: () => Promise<T>): Promise<T> {
    this.#state = 'unmounting'
    const attempt = work().finally(() => {
      this.#attempt = null
    })
    this.#attempt = attempt
    return attempt
  }

  /** Unmounted from outside, or the device gave up. */
  async #sessionEnded(message: MessageOf<'ended'>): Promise<void> {
    const { reason } = message
    // Our own unmount ends the session too; and a start that fails here is told by the worker's exit.
    if (this.#state === 'unmounting') this.#missed ??= () => void this.#sessionEnded(message)
    if (this.#state !== 'ready') return
    this.#state = 'unmounting'
    if (reason === null) this.#parts.logger.info({}, 'unmounted from outside')
    else this.#parts.logger.error({ reason }, 'the session failed; unmounting')
    await forceUnmount(this.#parts.mounter, this.#parts.logger)
    await this.#stop(reason === null ? 0 : 1)
  }

  get #canTakeOver(): boolean {
    return this.#negotiated !== null && repeatsRequests(this.#negotiated)
  }

  /** @returns whether another one can take over */
  async #workerDied({ how }: WorkerExit): Promise<boolean> {
    this.#parts.manager.status(`the worker has died (${how}); another one takes over`)
    // A mount by libfuse has lost its only descriptor.
    if (this.#mountedBy === 'server') return false
    if (this.#canTakeOver) return true
    // The requests that were under way have no receiver any more: their readers get an error, and a mount to begin with
    // anew.
    this.#parts.logger.error({}, 'this kernel repeats no requests: mounting anew')
    await forceUnmount(this.#parts.mounter, this.#parts.logger)
    this.#closeFd()
    this.#negotiated = null
    return true
  }

  /** No worker serves, for long perhaps. @returns whether the mount is in use, and its users wait */
  async #mayWait(why: string, isNew: boolean): Promise<boolean> {
    // Otherwise an unmount or the end is under way already.
    if (this.#state !== 'ready') return true
    return await this.#attemptTo(async () => {
      const stays = await staysForReaders(this.#parts, isNew ? why : null)
      if (stays) this.#state = 'ready'
      return stays
    })
  }

  /** No worker serves, and none will. */
  async #end(why: string): Promise<void> {
    if (this.#state === 'stopping') return
    this.#state = 'stopping'
    this.#givenUp = why
    this.#parts.manager.stopping(why)
    this.#parts.logger.error({ why }, 'no worker; unmounting')
    await forceUnmount(this.#parts.mounter, this.#parts.logger)
    await this.#endLibrbd(false)
    this.#closeFd()
    this.#finish(1)
  }

  /** Nothing is mounted any more: end the worker, and with it `finished`. Idempotent. */
  async #stop(code: number): Promise<void> {
    if (this.#hasStopped) return
    this.#hasStopped = true
    this.#state = 'stopping'
    this.#parts.manager.stopping('unmounted; the worker stops')
    await this.#endLibrbd(true)
    const exit = await this.#workers.stop()
    this.#closeFd()
    if (exit === null || exit.code === 0) return this.#finish(code)
    this.#parts.logger.error({ how: exit.how }, 'the worker did not stop cleanly')
    this.#finish(1)
  }

  /** A start that failed: leave nothing behind. */
  async #abandon(): Promise<void> {
    this.#state = 'stopping'
    if (this.#mounting) await forceUnmount(this.#parts.mounter, this.#parts.logger)
    await this.#endLibrbd(false)
    await this.#workers.stop()
    this.#closeFd()
  }

  #endLibrbd(isServed: boolean): Promise<void> {
    return this.#parts.librbd.close(() => this.#workers.send({ type: 'librbd-end' }), isServed)
  }

  /** The mount is no more, so its descriptor need not be held. */
  #closeFd(): void {
    if (this.#fd !== null) this.#parts.closeFd(this.#fd)
    this.#fd = null
    this.#parts.store.drop()
  }
}
