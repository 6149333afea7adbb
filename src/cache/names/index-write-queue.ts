/**
 * Queue of index writes for names, images and listings, below the ceiling. A write without room, or to an index that
 * cannot be written in time, fails no lookup: it is tried again until it succeeds, and until then its content is known
 * in memory only.
 */
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { DiskHealth } from '../../store/disk/disk-health.ts'
import type { Store } from '../../store/store.ts'

interface Write {
  readonly bytes: number
  readonly isNeeded: boolean
  readonly run: () => Promise<void>
}

/** The store, as far as it is asked here. */
export interface RecordingStore extends Pick<Store, 'recordWithin'> {
  /** A lookup waits for the index as long as a read waits for the disk. */
  readonly health: Pick<DiskHealth, 'readMsMax'>
}

export class IndexWriteQueue {
  readonly #store: RecordingStore
  readonly #logger: Logger
  /** By what they write: a later one takes the place of an earlier one. */
  readonly #unwritten = new Map<string, Write>()

  constructor(store: RecordingStore, logger: Logger) {
    this.#store = store
    this.#logger = logger
  }

  /** Writes that are still to be done. */
  get unwritten(): number {
    return this.#unwritten.size
  }

  /**
   * Write about `bytes` by `run`, or keep it for {@link retry}.
   * @param what names the thing that is written
   * @param isNeeded see Capacity.reserve
   * @throws whatever `run` throws but index-failed
   */
  async record(what: string, bytes: number, isNeeded: boolean, run: () => Promise<void>): Promise<void> {
    const before = this.#unwritten.size
    const write = { bytes, isNeeded, run }
    this.#unwritten.set(what, write)
    const { readMsMax } = this.#store.health
    const late = () => new CacheError('index-failed', `the index was not written within ${readMsMax} ms`)
    const reason = await withTimeout(readMsMax, this.#try(what, write), late).catch(error => {
      if (isCacheError(error, 'index-failed')) return { err: error } // What is late goes on.
      throw error
    })
    if (reason && before === 0) {
      this.#logger.warn({ what, ...reason }, 'a name or an image is not recorded; it is known here, and tried again')
    }
  }

  /** Try again what is not written. */
  async retry(): Promise<void> {
    const before = this.#unwritten.size
    for (const [what, write] of [...this.#unwritten]) {
      // Another one may have taken its place meanwhile, or it is not wanted any more.
      if (this.#unwritten.get(what) === write && (await this.#try(what, write))) return
    }
    if (before > 0 && this.#unwritten.size === 0) this.#logger.info({ writes: before }, 'names and images are recorded')
  }

  has(what: string): boolean {
    return this.#unwritten.has(what)
  }

  /** It need not be written any more. */
  drop(what: string): void {
    this.#unwritten.delete(what)
  }

  /** @returns why it could not be written, or null when it was */
  async #try(what: string, write: Write): Promise<{ readonly err?: unknown } | null> {
    try {
      if (!(await this.#store.recordWithin(write.bytes, write.isNeeded, write.run))) return {}
    } catch (error) {
      if (isCacheError(error, 'index-failed')) return { err: error }
      this.#unwritten.delete(what)
      throw error
    }
    // A later write of the same thing has its own turn.
    if (this.#unwritten.get(what) === write) this.#unwritten.delete(what)
    return null
  }
}
