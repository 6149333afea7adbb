/**
 * Time-outs of the cache disk, and the bounds of a batch.
 */
import { batchBytesMax, batchMsMax, storeReadMsMax, storeWriteMsMax } from './limits.ts'

export interface DiskTimeouts {
  /** The time a read waits for the disk, in milliseconds. */
  readonly readMsMax: number
  /** The time a write or a sync may take before the disk counts as stalled. */
  readonly writeMsMax: number
  /** A batch of promotions is synced and recorded after so many milliseconds or bytes, whichever comes first. */
  readonly batchMsMax: number
  readonly batchBytesMax: number
}

export const diskTimeoutsDefault: DiskTimeouts = {
  readMsMax: storeReadMsMax,
  writeMsMax: storeWriteMsMax,
  batchMsMax,
  batchBytesMax,
}
