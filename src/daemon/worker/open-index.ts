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

/**
 * Open it; resolves when it is locked as far as it can be.
 * @param doubt why it is copied first, unless it was closed; null: it is copied when LMDB met an error in it
 * @throws CacheError index-failed
 */
export async function openIndex(
  directory: CacheDirectory,
  capacityBytes: number,
  engine: Engine,
  doubt: string | null,
  logger: Logger,
): Promise<OpenedIndex> {
  const writeCheck = new WriteProbe(
    directory.index.at('data.mdb'),
    Math.min(indexReserveBytesMax, Math.ceil(capacityBytes * indexReserveShare)),
    (...reserve) => engine.reserveAfterEnd(...reserve),
  )
  const memoryLock = new MemoryLock(directory.index.place, (...file) => engine.keepInMemory(...file), logger)
  const index = new IndexDatabase(directory.index, {
    salvage: {
      isInDoubt: doubt !== null,
      // A damaged index and its copy lie side by side for a moment, below the ceiling too.
      copyBytesMax: () => roomBytes(directory, capacityBytes),
      onSalvaged: failure => {
        const why = doubt ?? 'LMDB met an error in it'
        if (failure === null) logger.warn({ why }, 'the index may be damaged: its intact values were copied')
        else logger.error({ why, failure }, 'the index may be damaged and was not copied: the cache starts empty')
      },
    },
    beforeWrite: () => writeCheck.run(),
    onWritten: () => void memoryLock.renew(), // Reports to the log.
  })
  await memoryLock.renew()
  return { index, memoryLock }
}
