/** Dependencies of a supervisor of workers. */

import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { LeveledLogger } from '../../base/logger.ts'
import type { Settings } from '../config/settings.ts'
import type { Takeovers, ToSupervisor } from '../ipc/messages.ts'
import type { JournalledRequest } from './inflight-journal-file.ts'
import type { MessageOf, WorkerHandshake } from './worker-handshake.ts'
import type { WorkerExit, WorkerProcess } from './worker-process.ts'

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

/** Time as it passes. */
export const realTime: Pick<WorkerSupervisorContext, 'now' | 'pause'> = {
  now: () => performance.now(),
  pause,
}
