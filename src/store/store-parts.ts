/** What the images of one store have in common: index, capacity, health, batches and locks. */
import type { IndexDatabase } from '../index/index-database.ts'
import type { KeyedMutex } from '../keyed-mutex.ts'
import type { Logger } from '../logger.ts'
import type { Capacity } from './capacity.ts'
import type { Committer } from './committer.ts'
import type { Health } from './health.ts'

/** What all images of a store share. */
export interface StoreParts {
  readonly index: IndexDatabase
  readonly capacity: Capacity
  readonly health: Health
  readonly committer: Committer
  readonly locks: KeyedMutex
  readonly logger: Logger
  /** The tick of now, for `lastUse`. */
  readonly tick: () => number
  /** Make the directory of the data files durable. */
  readonly syncDirectory: () => Promise<void>
}
