/**
 * Locks the database file in memory. LMDB reads it through a mapping, on the main thread. There a page from a failing
 * disk ends the process (SIGBUS), and one from a hanging disk stops everything.
 *
 * Pages that may not be locked (RLIMIT_MEMLOCK, or over `indexLockedBytesMax`) are left to the page cache; one log line
 * says so.
 */
import { join } from 'node:path'
import { NextRun } from '../../async/next-run.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { indexLockedBytesMax } from './limits.ts'

/** Lock what the file has grown by. See Engine.keepInMemory. */
export type KeepInMemory = (
  path: string,
  bytesMax: number,
) => Promise<{ readonly lockedBytes: number; readonly sizeBytes: number }>

export class MemoryLock {
  readonly #path: string
  readonly #keepInMemory: KeepInMemory
  readonly #logger: Logger
  #unlockedBytes = 0
  #isTold = false
  readonly #renewals = new NextRun(() => this.#lock())

  /** @param directory of the index */
  constructor(directory: string, keepInMemory: KeepInMemory, logger: Logger) {
    this.#path = join(directory, 'data.mdb')
    this.#keepInMemory = keepInMemory
    this.#logger = logger
  }

  /** Bytes of the file that are not locked. */
  get unlockedBytes(): number {
    return this.#unlockedBytes
  }

  /** The file may have grown. Resolves when it is locked as far as it can be; one look at a time; never rejects. */
  renew(): Promise<void> {
    return this.#renewals.run()
  }

  async #lock(): Promise<void> {
    let why = 'more than this process may lock: raise RLIMIT_MEMLOCK'
    try {
      const { lockedBytes, sizeBytes } = await this.#keepInMemory(this.#path, indexLockedBytesMax)
      this.#unlockedBytes = sizeBytes - lockedBytes
      if (lockedBytes >= indexLockedBytesMax) why = `over ${indexLockedBytesMax} bytes`
      if (lockedBytes === sizeBytes) return
    } catch (error) {
      why = messageOf(error)
    }
    if (this.#isTold) return
    this.#isTold = true
    const fields = { unlockedBytes: this.#unlockedBytes, why }
    this.#logger.warn(fields, 'a part of the index is not locked in memory; a disk error there ends the worker')
  }
}
