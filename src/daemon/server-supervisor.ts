/**
 * Server processes, one after the other: starts them, and puts another in the place of one that dies.
 *
 * Where one dies after the other, the cache may be to blame: the next ones pass it by, and when these die as well, there is no other.
 * It knows nothing of mounts. Whoever has the mount says how a server that has booted comes to serve it, and hears when one has
 * died and when no other will come.
 */
import { CacheError, messageOf } from '../errors.ts'
import type { Judgement } from '../fuse/kernel/work-notes.ts'
import {
  restartPauseMsMax,
  restartPauseMsMin,
  serverDeathsDefault,
  serverHangMsMax,
  serverWellMsDefault,
} from '../process-limits.ts'
import { noTakeovers, oneMore, type Past, type Restarts, type ToServer } from './messages.ts'
import { Pulse } from './pulse.ts'
import { ServerLink } from './server-link.ts'
import type { Exit, ServerProcess } from './server-process.ts'
import type { SupervisorParts } from './supervisor-parts.ts'
import { Suspicion } from './suspicion.ts'

export class ServerSupervisor {
  readonly #parts: SupervisorParts
  readonly #pulse: Pulse
  #link: ServerLink | null = null
  #stopping = false
  /** The last one has died, and the next has not been started. */
  #isBetween = false
  /** How many have died in a row, none of which was well. */
  #deaths = 0
  /** What the first one said of its configuration. */
  #restarts: Restarts = { deathsMax: serverDeathsDefault, wellMs: serverWellMsDefault }
  #directory: Past['directory'] = null
  /** It is being replaced, and ends because we say so. */
  #leaving: ServerLink | null = null
  #takeovers = noTakeovers
  readonly #suspicion = new Suspicion()
  /** We kill it because it hangs. */
  #isHung = false
  /** Why servers have to pass the cache by, once they have to. */
  #bypass: string | null = null

  constructor(parts: SupervisorParts) {
    this.#parts = parts
    this.#pulse = new Pulse({
      everyMs: parts.askMs,
      hangMsMax: serverHangMsMax,
      ask: () => this.send({ type: 'ping' }),
      alive: () => parts.onAlive(),
      onHung: () => this.#killHung(),
      now: parts.now,
    })
  }

  /** What is known of requests that may kill. */
  get judgement(): Judgement {
    return this.#suspicion.judgement
  }

  /** What goes on when another supervisor follows. */
  get past(): Past {
    return { directory: this.#directory, takeovers: this.#takeovers }
  }

  /** Of the current process. */
  get pid(): number {
    return this.#link?.process.pid ?? 0
  }

  /**
   * The first server; resolves when it serves. From then on there is always one, until {@link stop}.
   * @throws CacheError what it failed with; then call {@link stop}
   */
  async start(): Promise<void> {
    const link = this.#begin()
    await this.#lead(link)
    this.#watch(link)
  }

  /**
   * The servers of a keeper that has died are followed by ours. Resolves when one serves, or once it was said that none will.
   */
  async resume({ directory, takeovers }: Past): Promise<void> {
    this.#directory = directory
    this.#takeovers = takeovers
    this.#isBetween = true
    await this.#replace('the keeper has died', this.#parts.now(), null)
  }

  /**
   * Have another server ready to take the place of the one that serves. Nothing has happened when this fails.
   * @param directory of its version; null: our own
   * @returns its version, and what makes it take over; that never rejects
   * @throws CacheError why it could not boot; closed when there is nothing to replace
   */
  async prepare(
    directory: string | null,
  ): Promise<{ readonly version: string; readonly takeOver: () => Promise<void> }> {
    const mustServe = () => {
      if (this.#stopping || this.#isBetween || this.#leaving)
        throw new CacheError('closed', 'the server is being replaced')
    }
    mustServe()
    const link = this.#linkTo(this.#parts.startServer(directory))
    try {
      const version = await link.prepare()
      mustServe()
      return { version, takeOver: () => this.#exchange(link, directory) }
    } catch (error) {
      await link.end()
      throw error
    }
  }

  /** To the current server; one that dies meanwhile has not heard it. */
  send(message: ToServer): void {
    this.#link?.send(message)
  }

  /** A start under way fails with this. */
  giveUp(error: CacheError): void {
    this.#link?.giveUp(error)
  }

  /** What fails when the current server does. */
  orFailed<T>(step: Promise<T>): Promise<T> {
    return this.#link?.orFailed(step) ?? step
  }

  /** End the current server for good, and start no other. @returns how it ended; null when there was none */
  async stop(): Promise<Exit | null> {
    this.#stopping = true
    this.#pulse.close()
    const [exit] = await Promise.all([this.#link && !this.#isBetween ? this.#link.end() : null, this.#leaving?.end()])
    return exit
  }

  #begin(): ServerLink {
    const link = this.#linkTo(this.#parts.startServer(this.#directory))
    this.#link = link
    this.#isBetween = false
    return link
  }

  #linkTo(process: ServerProcess): ServerLink {
    const { settings, logger, onMessage } = this.#parts
    const link: ServerLink = new ServerLink(process, {
      settings,
      logger,
      onMessage: message => {
        if (link !== this.#link) return
        if (message.type === 'pong') this.#pulse.answered()
        else onMessage(message)
      },
    })
    return link
  }

  async #lead(link: ServerLink): Promise<void> {
    const booted = await link.boot(this.#bypass)
    this.#restarts = booted.restarts
    await this.#parts.serve(link, booted)
  }

  #killHung(): void {
    this.#isHung = true
    // Guests wait for this; whatever the line waits for, they do not.
    this.#link?.process.kill()
    this.#parts.logger.error({ hangMsMax: serverHangMsMax, server: this.pid }, 'the server hung, and was killed')
  }

  #watch(link: ServerLink): void {
    const sinceMs = this.#parts.now()
    this.#pulse.serving()
    void link.process.exited.then(exit => this.#died(link, exit, this.#parts.now() - sinceMs)) // Never rejects.
  }

  /** The server that serves ends, and `next` takes over; where it cannot, one of the version of before does. */
  async #exchange(next: ServerLink, directory: string | null): Promise<void> {
    const { logger, now } = this.#parts
    const beganMs = now()
    const leaving = this.#link
    this.#leaving = leaving
    this.#link = next
    this.#pulse.changing()
    const exit = await leaving?.end()
    this.#leaving = null
    if (this.#stopping) return
    if (exit?.code !== 0) logger.error({ how: exit?.how }, 'the server that was replaced did not stop cleanly')
    try {
      this.#bypass = null
      await this.#lead(next)
      this.#directory = directory
      this.#tookOver(next, beganMs, null)
    } catch (error) {
      const how = messageOf(error)
      logger.error({ reason: how }, 'the upgrade has failed; the version of before goes on')
      this.#isBetween = true
      await next.end()
      await this.#replace(how, beganMs, how)
    }
  }

  #tookOver(link: ServerLink, beganMs: number, refusedUpgrade: string | null): void {
    const { now, logger, onTakeover } = this.#parts
    const pauseMs = Math.round(now() - beganMs)
    this.#takeovers = oneMore(this.#takeovers, pauseMs, refusedUpgrade)
    logger.info({ server: this.pid, pauseMs }, 'another server has taken over')
    onTakeover(this.#takeovers)
    this.#watch(link)
  }

  async #died(link: ServerLink, exit: Exit, servedMs: number): Promise<void> {
    if (this.#stopping || link !== this.#link) return
    const { logger, now, onDeath, onGivenUp } = this.#parts
    const beganMs = now()
    this.#isBetween = true
    this.#pulse.changing()
    logger.error({ how: exit.how, servedSeconds: Math.round(servedMs / 1000) }, 'the server has died')
    if (servedMs >= this.#restarts.wellMs) this.#deaths = 0
    this.#lookAtWork(exit)
    if (await onDeath(exit)) await this.#replace(exit.how, beganMs, null)
    else onGivenUp(`the server has died (${exit.how})`)
  }

  #lookAtWork(exit: Exit): void {
    const { logger, takeWork } = this.#parts
    for (const { unique, hex } of this.#suspicion.ended(exit, this.#isHung, takeWork())) {
      logger.error({ unique, request: hex }, 'a request has killed one server after the other; it is refused now')
    }
    this.#isHung = false
  }

  /** None serves: start one after the other until one does. */
  async #replace(lastEnd: string, beganMs: number, refusedUpgrade: string | null): Promise<void> {
    const { logger, onGivenUp } = this.#parts
    let how = lastEnd
    // INVARIANT: bounded by the deaths that are allowed, each of which takes no longer than a boot.
    while (!this.#stopping) {
      if (++this.#deaths >= this.#restarts.deathsMax) {
        const why = `${this.#deaths} servers have died in a row (${how})`
        if (this.#bypass !== null) return onGivenUp(why)
        logger.error({ why }, 'from now on the cache is passed by')
        this.#bypass = why
        this.#deaths = 0
      }
      await this.#parts.pause(pauseBefore(this.#deaths))
      if (this.#stopping) return
      let link: ServerLink | null = null
      try {
        link = this.#begin()
        await this.#lead(link)
        this.#tookOver(link, beganMs, refusedUpgrade)
        return
      } catch (error) {
        how = messageOf(error)
        logger.error({ reason: how }, 'the next server cannot take over')
        if (link) this.#lookAtWork(await link.end())
        else this.#directory = null // The version that served is there no more.
        this.#isBetween = true
      }
    }
  }
}

/** The first death may be chance, and who passes the cache by is to serve soon: no pause. Each that follows in a row has twice the pause of the one before. */
function pauseBefore(deaths: number): number {
  return deaths <= 1 ? 0 : Math.min(restartPauseMsMin * 2 ** (deaths - 2), restartPauseMsMax)
}
