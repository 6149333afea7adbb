/** What the server needs of its rooms: rooms.ts, or a fake in tests. */
import type { RoomsMeasurements } from '../admin/measurements.ts'
import type { AdminOperations } from '../admin/routes.ts'
import type { Negotiated } from '../fuse/kernel/negotiation.ts'
import type { WorkNotesOptions } from '../fuse/kernel/work-notes.ts'
import type { Configuration } from './configuration.ts'
import type { RoomsStatus } from './measure.ts'
import type { ReloadPlan } from './reload.ts'

/** How a mount is served. */
export interface Serving {
  /** The descriptor of the mount; it stays the caller's. */
  readonly fd: number
  /** What an earlier server settled with the kernel, or null on a new mount. */
  readonly negotiated: Negotiated | null
  /** Where requests in work are noted, and what is known of them. */
  readonly work: Omit<WorkNotesOptions, 'logger'>
  /** Hears what is about to be settled, before the kernel does. */
  readonly onNegotiated: (value: Negotiated) => Promise<void>
}

export interface ServerRooms {
  readonly source: string
  serve(serving: Serving): Promise<void>
  mount(): Promise<void>
  ended(): Promise<string | null>
  status(): RoomsStatus
  measurements(): RoomsMeasurements
  setCapacity(capacityBytes: number): Promise<number>
  reconfigure(said: Configuration): Promise<ReloadPlan>
  readonly operations: AdminOperations
  stopServing(): Promise<void>
  close(): Promise<void>
}
