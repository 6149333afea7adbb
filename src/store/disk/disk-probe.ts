/** The whole way of a promotion, in small: data file and index, written, synced and read back. */
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError } from '../../base/errors.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { DataDirectory } from './data-directory.ts'

export class DiskProbe {
  readonly #directory: DataDirectory
  readonly #index: IndexDatabase
  readonly #msMax: number
  /** A probe that hangs holds a thread: there is one at a time. */
  #running = false

  /** @param msMax how long it may take */
  constructor(directory: DataDirectory, index: IndexDatabase, msMax: number) {
    this.#directory = directory
    this.#index = index
    this.#msMax = msMax
  }

  /** @throws CacheError store-failed when it takes too long, index-failed; SystemError */
  async run(): Promise<void> {
    const late = () => new CacheError('store-failed', `a probe took over ${this.#msMax} ms`)
    if (this.#running) throw new CacheError('store-failed', 'the last probe still waits for the disk')
    const steps = [this.#directory.probe(), this.#index.probe()]
    this.#running = true
    void Promise.allSettled(steps).then(() => {
      this.#running = false
    })
    await withTimeout(this.#msMax, Promise.all(steps), late)
  }
}
