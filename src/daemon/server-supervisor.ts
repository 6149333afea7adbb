/**
 * Server processes, one after the other: starts them, and puts another in the place of one that dies.
 *
 * Where one dies after the other, the cache may be to blame: the next ones pass it by, and when these die as well, there is no other.
 * It knows nothing of mounts. Whoever has the mount says how a server that has booted comes to serve it, and hears when one has
 * died and when no other will come.
 */
import { type CacheError, messageOf } from '../errors.ts'
import type { LeveledLogger } from '../logger.ts'
import {
  restartPauseMsMax,
  restartPauseMsMin,
  serverDeathsDefault,
  serverHangMsMax,
  serverWellMsDefault,
} from '../process-limits.ts'
import type { Restarts, ToKeeper, ToServer } from './messages.ts'
import { Pulse } from './pulse.ts'
import { type MessageOf, ServerLink } from './server-link.ts'
import type { Exit, ServerProcess } from './server-process.ts'
import type { Settings } from './settings.ts'

export interface SupervisorParts {
  readonly settings: Settings
  readonly logger: LeveledLogger
  /** A process that runs, and that nobody has spoken to. */
  startServer(): ServerProcess
  /** Have a server that has booted serve. @throws CacheError when it cannot */
  serve(link: ServerLink, booted: MessageOf<'booted'>): Promise<void>
  /** What the server says of its own accord. */
  onMessage(message: ToKeeper): void
  /** A server that served has died. @returns whether another one is to take its place */
  onDeath(exit: Exit): Promise<boolean>
  /** Another one serves, so long after the death. */
  onTakeover(pauseMs: number): void
  /** The server answers, or another is on its way. */
  onAlive(): void
  /** How often the server is asked. */
  readonly askMs: number
  /** None serves, and none will. */
  onGivenUp(why: string): void
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly pause: (ms: number) => Promise<void>
}

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
  /** Why servers have to pass the cache by, once they have to. */
  #bypass: string | null = null

  constructor(parts: SupervisorParts) {
    this.#parts = parts
    this.#pulse = new Pulse({
      everyMs: parts.askMs,
      hangMsMax: serverHangMsMax,
      ask: () => this.send({ type: 'ping' }),
      alive: () => parts.onAlive(),
      onHung: () => this.#kill(`it has not answered for ${serverHangMsMax / 1000} seconds`),
      now: parts.now,
    })
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
    return this.#link && !this.#isBetween ? this.#link.end() : null
  }

  #begin(): ServerLink {
    const { settings, logger, onMessage, startServer } = this.#parts
    const link = new ServerLink(startServer(), {
      settings,
      logger,
      onMessage: message => {
        if (link !== this.#link) return
        if (message.type === 'pong') this.#pulse.answered()
        else onMessage(message)
      },
      remedy: remedyFor(settings),
    })
    this.#link = link
    this.#isBetween = false
    return link
  }

  async #lead(link: ServerLink): Promise<void> {
    const booted = await link.boot(this.#bypass)
    this.#restarts = booted.restarts
    await this.#parts.serve(link, booted)
  }

  #kill(why: string): void {
    this.#parts.logger.error({ why, server: this.pid }, 'the server hangs; killing it')
    this.#link?.process.kill()
  }

  #watch(link: ServerLink): void {
    const sinceMs = this.#parts.now()
    this.#pulse.serving()
    void link.process.exited.then(exit => this.#died(exit, this.#parts.now() - sinceMs)) // Never rejects.
  }

  async #died(exit: Exit, servedMs: number): Promise<void> {
    if (this.#stopping) return
    const { logger, now, onDeath, onTakeover, onGivenUp } = this.#parts
    const beganMs = now()
    this.#isBetween = true
    this.#pulse.changing()
    logger.error({ how: exit.how, servedSeconds: Math.round(servedMs / 1000) }, 'the server has died')
    if (servedMs >= this.#restarts.wellMs) this.#deaths = 0
    let { how } = exit
    if (!(await onDeath(exit))) return onGivenUp(`the server has died (${how})`)
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
      const link = this.#begin()
      try {
        await this.#lead(link)
        const pauseMs = Math.round(now() - beganMs)
        logger.info({ server: this.pid, pauseMs }, 'another server has taken over')
        onTakeover(pauseMs)
        this.#watch(link)
        return
      } catch (error) {
        how = messageOf(error)
        logger.error({ reason: how }, 'the next server cannot take over')
        await link.end()
        this.#isBetween = true
      }
    }
  }
}

/** The first death may be chance, and who passes the cache by is to serve soon: no pause. Each that follows in a row has twice the pause of the one before. */
function pauseBefore(deaths: number): number {
  return deaths <= 1 ? 0 : Math.min(restartPauseMsMin * 2 ** (deaths - 2), restartPauseMsMax)
}

/** LMDB trusts the file that it reads: a server that dies of a signal may have met damage there. */
function remedyFor({ cacheDirectory }: Settings): string {
  const place = cacheDirectory ?? 'the cache directory (below /var/cache/parentfs or ~/.cache/parentfs)'
  return `if it does so again, the index is damaged: remove "index" in ${place} to start with an empty cache`
}
