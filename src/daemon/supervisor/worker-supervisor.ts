/**
 * Supervises workers, one after the other: starts them, and puts another in the place of one that dies.
 *
 * restart-policy.ts decides when the next one follows, and whether it runs without the cache. Nothing here knows of
 * mounts: the owner of the mount says how a booted worker comes to serve it and whether to go on, and hears of each
 * death and of the end.
 */

import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import type { LeveledLogger } from '../../base/logger.ts'
import type { PoisonVerdict } from '../../fuse/kernel/inflight-journal.ts'
import { workerCrashLimitDefault, workerStableMsDefault } from '../config/limits.ts'
import type { Settings } from '../config/settings.ts'
import {
  changesSettings,
  noTakeovers,
  oneMore,
  type TakeoverHistory,
  type Takeovers,
  type ToSupervisor,
  type ToWorker,
} from '../ipc/messages.ts'
import { HangDetector } from './hang-detector.ts'
import type { JournalledRequest } from './inflight-journal-file.ts'
import { workerHangMsMax } from './limits.ts'
import { PoisonDetector } from './poison-detector.ts'
import { type End, RestartPolicy } from './restart-policy.ts'
import { type MessageOf, WorkerHandshake } from './worker-handshake.ts'
import type { WorkerExit, WorkerProcess } from './worker-process.ts'
import type { SettingsChange } from './worker-settings.ts'

export interface WorkerSupervisorContext {
  /** The settings for the next worker. */
  settings(): Settings
  readonly logger: LeveledLogger
  /**
   * Starts a process that has not been spoken to.
   * @param directory of another version; null: our own
   * @param isNew of the version that lies there now, which has not served yet
   * @throws CacheError invalid-argument: there is no version; mount-failed: there is no process
   */
  startWorker(directory: string | null, isNew: boolean): WorkerProcess
  /** The requests that were in flight when a worker died; they are forgotten then. */
  takeWork(): JournalledRequest[]
  /** Have a worker that has booted serve. @throws CacheError when it cannot */
  serve(link: WorkerHandshake, booted: MessageOf<'booted'>): Promise<void>
  /** Messages that a worker sends of its own accord. */
  onMessage(message: ToSupervisor): void
  /** A worker that served has died. @returns whether another one is to take its place */
  onDeath(exit: WorkerExit): Promise<boolean>
  /**
   * It serves, and those that follow are of the version in that directory, as it is now; null: our own.
   * @param addons that it has loaded
   */
  onVersion(directory: string | null, addons: readonly string[]): void
  /**
   * None serves, and it may be long until one does. @param isNew this has not been said yet. @returns whether to go on
   */
  onDoubt(why: string, isNew: boolean): Promise<boolean>
  /** Another one serves. */
  onTakeover(takeovers: Takeovers): void
  /** The worker answers, or another is on its way. */
  onAlive(): void
  /** The interval at which the worker is asked. */
  readonly askMs: number
  /** None serves, and none will. */
  onGivenUp(why: string): void
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Ends early with the signal; never rejects. */
  readonly pause: (ms: number, signal: CancelSignal) => Promise<void>
}

export class WorkerSupervisor {
  readonly #parts: WorkerSupervisorContext
  readonly #hangDetector: HangDetector
  #link: WorkerHandshake | null = null
  readonly #stopped = new AbortController()
  /** The last one has died, and the next has not been started. */
  #isBetween = false
  /** The current one serves; one that boots, or takes over, does not yet. */
  #serves = false
  /** Another one is on its way to serving; null: none is. Never rejects. */
  #coming: Promise<unknown> | null = null
  /** Another one is being prepared on request, or takes over: two at once would end each other. */
  #isExchanging = false
  readonly #policy: RestartPolicy
  /** Of the one that served last; null where that is not known. */
  #version: string | null = null
  #directory: TakeoverHistory['directory'] = null
  /** It is being replaced, and ends because we say so. */
  #leaving: WorkerHandshake | null = null
  #takeovers = noTakeovers
  readonly #suspicion = new PoisonDetector()
  /** Reason to doubt an index that was not closed; null once a worker has copied it. */
  #indexDoubt: string | null = null
  /** Not null once a start is no longer wanted. */
  #cancelled: CacheError | null = null

  constructor(parts: WorkerSupervisorContext) {
    this.#parts = parts
    this.#policy = new RestartPolicy({ deathsMax: workerCrashLimitDefault, wellMs: workerStableMsDefault }, parts.now())
    this.#hangDetector = new HangDetector({
      everyMs: parts.askMs,
      hangMsMax: workerHangMsMax,
      ask: () => this.send({ type: 'ping' }),
      alive: () => parts.onAlive(),
      onHung: () => this.#killHung(),
      now: parts.now,
    })
  }

  /** The requests that may kill. */
  get judgement(): PoisonVerdict {
    return this.#suspicion.verdict
  }

  /** The history for the next supervisor. */
  get past(): TakeoverHistory {
    return { directory: this.#directory, takeovers: this.#takeovers }
  }

  /** False from the end of one, or its leave, until the next one answers requests. */
  get serves(): boolean {
    return this.#serves
  }

  /** Of the current process. */
  get pid(): number {
    return this.#link?.process.pid ?? 0
  }

  /**
   * The first worker; resolves when it serves. From then on there is always one, until {@link stop}.
   * @throws CacheError what it failed with; then call {@link stop}
   */
  async start(): Promise<void> {
    let link = this.#begin()
    try {
      await this.#lead(link, this.#directory, false)
    } catch (error) {
      link = await this.#tryAgain(link, error)
    }
    this.#watch(link)
  }

  /** Damage in an index that was not closed ends the first worker that reads it: the next one copies the index. */
  async #tryAgain(link: WorkerHandshake, error: unknown): Promise<WorkerHandshake> {
    if (link.hasBooted) throw error
    await link.end()
    if (this.#cancelled || this.#isStopping) throw this.#cancelled ?? error
    if (this.#indexDoubt === null && !isCacheError(error, 'index-failed')) throw error
    this.#parts.logger.error({ reason: messageOf(error) }, 'the worker could not boot; another one is tried')
    const next = this.#begin()
    await this.#lead(next, this.#directory, false)
    return next
  }

  /**
   * Follows the workers of a supervisor that has died. Resolves when one serves, or once it was said that none will.
   */
  async resume({ directory, takeovers }: TakeoverHistory): Promise<void> {
    this.#directory = directory
    this.#takeovers = takeovers
    this.#isBetween = true
    this.#hangDetector.changing()
    await this.#replace({ fate: 'killed', how: 'the supervisor has died', servedMs: 0 }, this.#parts.now(), null)
  }

  /**
   * Have another worker ready to take the place of the one that serves, or is on its way there: such a one answers
   * commands already, and is waited for. Nothing has happened when this fails.
   * @param directory of its version; null: our own
   * @param change the present version goes on, with these settings; none: with those of now
   * @returns its version, and what makes it take over; that never rejects
   * @throws CacheError why it could not boot; closed when there is nothing to replace
   */
  async prepare(
    directory: string | null,
    change?: SettingsChange,
  ): Promise<{ readonly version: string; readonly takeOver: () => Promise<void> }> {
    const mustServe = async () => {
      while (this.#coming) await this.#coming
      if (this.#isStopping || !this.#serves) throw new CacheError('closed', 'the worker is being replaced')
    }
    await mustServe()
    if (this.#isExchanging) throw new CacheError('closed', 'another upgrade or move is under way: try again after it')
    this.#isExchanging = true
    let link: WorkerHandshake | null = null
    try {
      const next = (link = this.#linkTo(this.#parts.startWorker(directory, !change), change?.settings))
      const version = await next.prepare(false)
      await mustServe()
      return { version, takeOver: () => this.#exchange(next, directory, change) }
    } catch (error) {
      await link?.end()
      this.#isExchanging = false
      throw error
    }
  }

  /** To the current worker; one that dies meanwhile has not heard it. */
  send(message: ToWorker): void {
    this.#link?.send(message)
  }

  /** A start under way fails with this. */
  giveUp(error: CacheError): void {
    this.#cancelled = error
    this.#link?.giveUp(error)
  }

  /** Fails as soon as the current worker does. */
  orFailed<T>(step: Promise<T>): Promise<T> {
    return this.#link?.orFailed(step) ?? step
  }

  /** End the current worker for good, and start no other. @returns how it ended; null when there was none */
  async stop(): Promise<WorkerExit | null> {
    this.#stopped.abort()
    this.#hangDetector.close()
    const [exit] = await Promise.all([this.#link && !this.#isBetween ? this.#link.end() : null, this.#leaving?.end()])
    return exit
  }

  get #isStopping(): boolean {
    return this.#stopped.signal.aborted
  }

  #begin(): WorkerHandshake {
    const link = this.#linkTo(this.#parts.startWorker(this.#directory, false))
    this.#link = link
    this.#isBetween = false
    return link
  }

  #linkTo(process: WorkerProcess, settings: () => Settings = this.#parts.settings): WorkerHandshake {
    const { logger, onMessage } = this.#parts
    const link: WorkerHandshake = new WorkerHandshake(process, {
      ...{ settings, logger },
      onMessage: message => {
        if (link !== this.#link && !(link === this.#leaving && changesSettings(message))) return
        if (message.type === 'pong') this.#hangDetector.answered()
        else onMessage(message)
      },
    })
    void process.exited.then(() => {
      this.#indexDoubt ??= link.indexDoubt
    })
    return link
  }

  /** @param isAwaited requests of guests wait for it */
  async #lead(
    link: WorkerHandshake,
    directory: string | null,
    isAwaited: boolean,
    onBooted: () => void = () => {},
  ): Promise<void> {
    const { bypass } = this.#policy
    const booted = await link.boot({ bypass, indexDoubt: this.#indexDoubt, isAwaited }, this.#version)
    if (bypass === null) this.#indexDoubt = null
    onBooted()
    this.#policy.configure(booted.restarts)
    await this.#parts.serve(link, booted)
    // A mount by libfuse has no successor.
    if (this.#version === null && booted.mounter === 'keeper') this.#parts.onVersion(directory, booted.addons)
    this.#version = booted.version
  }

  #killHung(): void {
    // Guests wait for this; whatever the line waits for, they do not.
    this.#link?.kill()
    this.#parts.logger.error({ hangMsMax: workerHangMsMax, worker: this.pid }, 'the worker hung, and was killed')
  }

  #watch(link: WorkerHandshake): void {
    this.#serves = true
    const sinceMs = this.#parts.now()
    this.#hangDetector.serving()
    void link.process.exited.then(exit => this.#died(link, exit, this.#parts.now() - sinceMs)) // Never rejects.
  }

  /** The worker that serves ends, and `next` takes over; where it cannot, one of the version of before does. */
  async #exchange(next: WorkerHandshake, directory: string | null, change?: SettingsChange): Promise<void> {
    const { logger, now } = this.#parts
    const [version, beganMs] = [this.#version, now()]
    const leaving = (this.#leaving = this.#link)
    this.#serves = false
    this.#link = next
    this.#hangDetector.changing()
    const exit = await leaving?.end()
    this.#leaving = null
    if (this.#isStopping) return
    if (exit?.code !== 0) logger.error({ how: exit?.how }, 'the worker that was replaced did not stop cleanly')
    try {
      this.#policy.forgive()
      // With other settings it is the program of before, perhaps from the copy of that, which has to stay.
      if (!change) this.#version = null
      const takeOver = async () => {
        await this.#lead(next, directory, true, change?.onBooted)
        this.#directory = directory
        this.#tookOver(next, beganMs, null)
      }
      await this.#awaited(takeOver())
    } catch (error) {
      const how = messageOf(error)
      logger.error({ reason: how }, 'the upgrade has failed; the version of before goes on')
      this.#isBetween = true
      this.#version = version
      await next.end()
      const failed = await this.#awaited(this.#next(beganMs, how))
      if (failed) await this.#replace(failed, beganMs, how)
    } finally {
      this.#isExchanging = false
    }
  }

  /** Whoever needs a worker that serves waits until this is over. */
  async #awaited<T>(coming: Promise<T>): Promise<T> {
    this.#coming = coming.catch(() => {})
    try {
      return await coming
    } finally {
      this.#coming = null
    }
  }

  #tookOver(link: WorkerHandshake, beganMs: number, refusedUpgrade: string | null): void {
    const { now, logger, onTakeover } = this.#parts
    const pauseMs = Math.round(now() - beganMs)
    this.#takeovers = oneMore(this.#takeovers, pauseMs, refusedUpgrade)
    logger.info({ worker: this.pid, pauseMs }, 'another worker has taken over')
    this.#watch(link)
    onTakeover(this.#takeovers)
  }

  async #died(link: WorkerHandshake, exit: WorkerExit, servedMs: number): Promise<void> {
    if (this.#isStopping || link !== this.#link) return
    const { logger, now, onDeath, onGivenUp } = this.#parts
    const { how } = exit
    const beganMs = now()
    this.#isBetween = true
    this.#serves = false
    this.#hangDetector.changing()
    logger.error({ how, servedSeconds: Math.round(servedMs / 1000) }, 'the worker has died')
    this.#lookAtWork(link)
    if (await onDeath(exit)) await this.#replace({ fate: link.fate, how, servedMs }, beganMs, null)
    else onGivenUp(`the worker has died (${how})`)
  }

  #lookAtWork({ fate }: WorkerHandshake): void {
    const { logger, takeWork } = this.#parts
    for (const { unique, hex } of this.#suspicion.ended(fate, takeWork())) {
      logger.error({ unique, request: hex }, 'a request has killed one worker after the other; it is refused now')
    }
  }

  /** None serves: start one after the other until one does, or until it is said that it is not worth it. */
  async #replace(last: End, beganMs: number, refusedUpgrade: string | null): Promise<void> {
    const { logger, now, onDoubt, onGivenUp, pause } = this.#parts
    let end = last
    // INVARIANT: no turn without a pause but the first, and the first that passes the cache by.
    while (!this.#isStopping) {
      const { pauseMs, beginsBypass, doubt, isNewDoubt } = this.#policy.ended(end, now())
      if (beginsBypass)
        logger.error({ why: this.#policy.bypass }, 'worker crash loop: the next worker runs without the cache')
      if (doubt !== null && !(await onDoubt(doubt, isNewDoubt))) return onGivenUp(doubt)
      await pause(pauseMs, this.#stopped.signal)
      if (this.#isStopping) return
      const failed = await this.#awaited(this.#next(beganMs, refusedUpgrade))
      if (failed === null) return
      logger.error({ reason: failed.how }, 'the next worker cannot take over')
      this.#isBetween = true
      end = failed
    }
  }

  /** @returns null when it serves, or its end */
  async #next(beganMs: number, refusedUpgrade: string | null): Promise<End | null> {
    let link: WorkerHandshake | null = null
    try {
      link = this.#begin()
      await this.#lead(link, this.#directory, true)
      this.#tookOver(link, beganMs, refusedUpgrade)
      return null
    } catch (error) {
      await link?.end()
      if (link) this.#lookAtWork(link)
      // The version that served is there no more.
      else if (isCacheError(error, 'invalid-argument')) [this.#directory, this.#version] = [null, null]
      return { fate: link?.fate ?? 'unstarted', how: messageOf(error), servedMs: 0 }
    }
  }
}
