/**
 * How long the store waits for its disk, and for a batch to fill.
 */
import { batchBytesMax, batchMsMax, storeReadMsMax, storeWriteMsMax } from './limits.ts'

export interface DiskTimeouts {
  /** How long a read waits for the disk, in milliseconds. */
  readonly readMsMax: number
  /** How long a write or a sync may take before the disk counts as stalled. */
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
