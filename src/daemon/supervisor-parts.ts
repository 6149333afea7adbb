/** What a supervisor of servers works with; a keeper gives it. */
import type { LeveledLogger } from '../logger.ts'
import type { Takeovers, ToKeeper } from './messages.ts'
import type { MessageOf, ServerLink } from './server-link.ts'
import type { Exit, ServerProcess } from './server-process.ts'
import type { Settings } from './settings.ts'
import type { InWork } from './work-file.ts'

export interface SupervisorParts {
  /** What the next server is to be told. */
  settings(): Settings
  readonly logger: LeveledLogger
  /**
   * A process that runs, and that nobody has spoken to.
   * @param directory of another version; null: our own
   * @throws CacheError invalid-argument: there is no version
   */
  startServer(directory: string | null): ServerProcess
  /** What was in work when a server died; it is forgotten then. */
  takeWork(): InWork[]
  /** Have a server that has booted serve. @throws CacheError when it cannot */
  serve(link: ServerLink, booted: MessageOf<'booted'>): Promise<void>
  /** What the server says of its own accord. */
  onMessage(message: ToKeeper): void
  /** A server that served has died. @returns whether another one is to take its place */
  onDeath(exit: Exit): Promise<boolean>
  /** Another one serves. */
  onTakeover(takeovers: Takeovers): void
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
