/**
 * Rooms as the worker sees them: everything that serves a mount, from the origins up to the transport.
 */
import type { FleetHandlers } from '../../admin/fleet-handlers.ts'
import type { RoomsMeasurements } from '../../admin/measurements.ts'
import type { AdminOperations } from '../../admin/routes.ts'
import type { ImageStatus } from '../../cache/cache-status.ts'
import type { InflightJournalOptions } from '../../fuse/kernel/inflight-journal.ts'
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import type { Configuration } from '../config/configuration.ts'
import type { ReloadPlan } from '../config/plan-reload.ts'
import type { CacheMover } from './cache-move.ts'
import type { LiveRoomsStatus, RoomsStatus } from './collect-status.ts'
import type { LeavingOrigins } from './leaving-origins.ts'
import type { LibrbdRooms } from './worker-librbd.ts'

/** The way a mount is served. */
export interface Serving {
  /** The descriptor of the mount; it stays the caller's. */
  readonly fd: number
  /** The agreement of an earlier worker with the kernel, or null on a new mount. */
  readonly negotiated: Negotiated | null
  /** The journal of requests in flight, and the verdicts on them. */
  readonly work: Omit<InflightJournalOptions, 'logger'>
  /** Hears what is about to be settled, before the kernel does. */
  readonly onNegotiated: (value: Negotiated) => Promise<void>
}

export interface WorkerRooms extends LibrbdRooms {
  readonly source: string
  serve(serving: Serving): Promise<void>
  mount(): Promise<void>
  ended(): Promise<string | null>
  status(): RoomsStatus
  live(): LiveRoomsStatus
  images(): Iterable<ImageStatus>
  measurements(): RoomsMeasurements
  /** Changes when guests ask. */
  requestsSeen(): number
  setCapacity(capacityBytes: number): Promise<number>
  reconfigure(said: Configuration): Promise<ReloadPlan>
  readonly mover: Pick<CacheMover, 'move' | 'emptyLeft'>
  readonly leaving: Pick<LeavingOrigins, 'start' | 'remove'>
  readonly operations: AdminOperations
  readonly fleet: FleetHandlers
  stopServing(): Promise<void>
  close(): Promise<void>
}
