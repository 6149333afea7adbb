/** Shared context of the images of one store: index, capacity, health, batches and locks. */

import type { KeyedMutex } from '../../async/keyed-mutex.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { StoreFile } from '../../native/addon.ts'
import type { TreeProof } from '../../native/tree-proof.ts'
import type { TakenSource } from '../../origin/sealed/taken-blocks.ts'
import type { Capacity } from '../disk/capacity.ts'
import type { DiskHealth } from '../disk/disk-health.ts'
import type { Committer } from './committer.ts'

/** The parts that all images of a store share. */
export interface StoreContext {
  readonly index: IndexDatabase
  readonly capacity: Capacity
  readonly health: DiskHealth
  readonly committer: Committer
  readonly locks: KeyedMutex
  readonly logger: Logger
  /** The tick of now, for `lastUse`. */
  readonly tick: () => number
  /** Blocks were written into a data file; zeros are not. */
  readonly written: (bytes: number) => void
  /** The proof of a range of a sealed image, as far as it is known here; null for none. Never rejects. */
  readonly proofOf: (image: Image, offset: number, length: number) => Promise<TreeProof | null>
  /** Blocks of an image that lie in another image's file; null for none. */
  readonly takenOf: (image: Image) => TakenSource | null
  /** The data file of an image; null where it is not open. */
  readonly fileOf: (imageId: string) => StoreFile | null
  /** Blocks that another file has were written: shared by the file system, or copied. */
  readonly onTaken: (reflinkedBytes: number, copiedBytes: number) => void
  /** Make the directory of the data files durable. */
  readonly syncDirectory: () => Promise<void>
}
