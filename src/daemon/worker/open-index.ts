/**
 * Opens the index, guarded from a sick disk: reserved room behind its end, a check before each write, its pages locked
 * in memory.
 */

import type { Logger } from '../../base/logger.ts'
import { MemoryLock } from '../../index/guard/memory-lock.ts'
import { WriteProbe } from '../../index/guard/write-probe.ts'
import { IndexDatabase } from '../../index/index-database.ts'
import type { Engine } from '../../native/addon.ts'
import { type CacheDirectory, roomBytes } from '../../store/disk/cache-directory.ts'
import { indexReserveBytesMax, indexReserveShare } from './limits.ts'

export interface OpenedIndex {
  readonly index: IndexDatabase
  readonly memoryLock: MemoryLock
}

/** Open it; resolves when it is locked as far as it can be. @throws CacheError index-failed */
export async function openIndex(
  directory: CacheDirectory,
  capacityBytes: number,
  engine: Engine,
  logger: Logger,
): Promise<OpenedIndex> {
  const writeCheck = new WriteProbe(
    directory.index.at('data.mdb'),
    Math.min(indexReserveBytesMax, Math.ceil(capacityBytes * indexReserveShare)),
    (...reserve) => engine.reserveAfterEnd(...reserve),
  )
  const memoryLock = new MemoryLock(directory.index.place, (...file) => engine.keepInMemory(...file), logger)
  const index = new IndexDatabase(directory.index, {
    // A damaged index and its copy lie side by side for a moment, below the ceiling too.
    copyBytesMax: () => roomBytes(directory, capacityBytes),
    beforeWrite: () => writeCheck.run(),
    onWritten: () => void memoryLock.renew(), // Reports to the log.
  })
  await memoryLock.renew()
  return { index, memoryLock }
}
