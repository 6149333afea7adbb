/**
 * Recency saver: saves the last use of each object now and then, so that a crash costs the order of a minute only.
 * Failures are logged and tried again; a stop saves once more, which is the store's.
 */

import { PeriodicTask } from '../../async/periodic-task.ts'
import { type RunEvery, runEvery } from '../../async/timers.ts'
import type { Logger } from '../../base/logger.ts'
import type { Store } from '../../store/store.ts'
import { recencySaveMs } from './limits.ts'

export class RecencySaver {
  readonly #store: Pick<Store, 'saveRecency'>
  readonly #logger: Logger
  readonly #saves: PeriodicTask

  constructor(store: Pick<Store, 'saveRecency'>, logger: Logger, every: RunEvery = runEvery) {
    this.#store = store
    this.#logger = logger
    this.#saves = new PeriodicTask(recencySaveMs, () => this.#save(), every)
    this.#saves.start()
  }

  /** Idempotent. */
  close(): void {
    this.#saves.stop()
  }

  /** Never rejects: reports to the log. */
  async #save(): Promise<void> {
    try {
      await this.#store.saveRecency()
    } catch (error) {
      this.#logger.warn({ err: error }, 'recency could not be saved; it is tried again in a minute')
    }
  }
}
