/**
 * Reads the rooms for status and for metrics: plain numbers, at one moment.
 */
import type { RegistrationMeasurements, RoomsMeasurements } from '../../admin/measurements.ts'
import type { Status } from '../../admin/status.ts'
import { addLatencies, noLatencies } from '../../base/latency-histogram.ts'
import type { Cache } from '../../cache/cache.ts'
import type { FleetService } from '../../fleet/server/fleet-service.ts'
import type { Transport } from '../../fuse/filesystem/transport.ts'
import type { MemoryLock } from '../../index/guard/memory-lock.ts'
import { indexShareMax } from '../../store/limits.ts'
import type { Store } from '../../store/store.ts'
import type { LiveStatus } from '../../web/live-status.ts'
import type { EventLoopLag } from './event-loop-lag.ts'
import type { LibrbdRoom } from './worker-librbd.ts'
import type { WorkerOrigins } from './worker-origins.ts'

/** The part of a status that the rooms know. */
export type RoomsStatus = Omit<
  Status,
  | 'version'
  | 'mountpoint'
  | 'transport'
  | 'state'
  | 'pid'
  | 'supervisorPid'
  | 'configFile'
  | 'logFile'
  | 'takeovers'
  | 'uptimeSeconds'
>

/** The part of it that costs no walk over the cache. */
export type LiveRoomsStatus = Omit<RoomsStatus, 'images' | 'cache' | 'librbd'> & Pick<LiveStatus, 'cache'>

export interface CollectedRooms {
  readonly cache: Cache
  readonly store: Store
  readonly origins: WorkerOrigins
  readonly memoryLock: MemoryLock
  /** Null until something is mounted. */
  readonly transport: Transport | null
  readonly lag: EventLoopLag
  readonly fleet: FleetService
  readonly registrations: RegistrationMeasurements
  readonly traces: RoomsMeasurements['traces']
  readonly librbd: Pick<LibrbdRoom, 'measurements' | 'hits'>
}

export function collectStatus({
  cache,
  store,
  origins,
  memoryLock,
  transport,
  lag,
  fleet,
  registrations,
  traces,
  librbd,
}: CollectedRooms): RoomsMeasurements {
  const {
    promotion,
    prefetch,
    eviction,
    written,
    scrub,
    retirement,
    truncatedListings: cutListings,
    knownImages,
  } = cache.counters
  const { capacityBytes, usedBytes } = store.capacity
  const { indexShare, failedBatches, taken } = store
  // The store keeps what it took as a share of its budget.
  const indexBytes = Math.round(indexShare * capacityBytes * indexShareMax)
  return {
    ...measureReads(cache, transport, librbd),
    cache: {
      ...{ capacityBytes, usedBytes, indexBytes, images: [...store.images()].length, failedBatches, taken },
      unlockedIndexBytes: memoryLock.unlockedBytes,
    },
    pinned: cache.pinned,
    health: store.health.state,
    busyTimes: store.health.busyTimes,
    origins: origins.measurements(url => cache.modeOfOrigin(url)),
    promotion,
    prefetch,
    eviction,
    written,
    scrub,
    retirement,
    truncatedListings: cutListings,
    knownImages,
    passthrough: measurePassthrough(cache, transport),
    ...{ forwarding: cache.counters.forwarding, droppedSamples: cache.counters.droppedSamples },
    gauges: measureGauges(cache, transport),
    eventLoopLag: lag.latencies,
    traces: { exported: traces.exported, dropped: traces.dropped },
    serving: { ...fleet.counters, foreignBytes: cache.served.foreignBytes },
    registrations,
    librbd: librbd.measurements(),
  }
}

/** The part of the status that costs no walk over the cache. */
export function collectLive(
  { cache, store, origins, memoryLock, transport, lag, librbd }: CollectedRooms,
  { directory, blockSize: blockBytes }: { readonly directory: string; readonly blockSize: number },
  movedFrom: LiveRoomsStatus['cache']['movedFrom'],
): LiveRoomsStatus {
  const { promotion, prefetch, eviction, written, scrub, retirement } = cache.counters
  const { queuedBytes, promotedBytes, dropped, withheldBytes } = promotion
  const { capacityBytes, usedBytes, highBytes, lowBytes } = store.capacity
  const { images } = cache.capacity()
  const { state, reason, sinceMs, busyTimes } = store.health
  const { unlockedBytes: unlockedIndexBytes } = memoryLock
  const { objects } = store
  return {
    cache: {
      ...{ directory, blockBytes, capacityBytes, usedBytes, highBytes, lowBytes, objects, images },
      ...{ movedFrom, unlockedIndexBytes },
    },
    pinned: cache.pinned,
    health: { state, reason, sinceSeconds: Math.round((performance.now() - sinceMs) / 1000), busyTimes },
    ...measureReads(cache, transport, librbd),
    ...origins.status(url => cache.modeOfOrigin(url)),
    promotion: { queuedBytes, promotedBytes, dropped, withheldBytes },
    prefetch,
    eventLoopLag: lag.latencies,
    eviction,
    written,
    scrub,
    retirement,
    passthrough: measurePassthrough(cache, transport),
    forwarding: cache.counters.forwarding,
    gauges: measureGauges(cache, transport),
  }
}

/** Reads that came here, and those that the transport answered by itself. */
export function measureReads(
  cache: Cache,
  transport: Transport | null,
  librbd: Pick<LibrbdRoom, 'hits'>,
): Pick<Status, 'reads' | 'latencies'> {
  const { reads, latencies } = cache.counters
  const objects = librbd.hits()
  const native = [transport?.counters(), objects?.counters]
  const own = transport?.latencies() ?? { memory: noLatencies, disk: noLatencies }
  const all = objects && {
    memory: addLatencies(own.memory, objects.latencies.memory),
    disk: addLatencies(own.disk, objects.latencies.disk),
  }
  return {
    reads: {
      hits: native.reduce((sum, each) => sum + (each?.hits ?? 0), reads.hits),
      misses: reads.misses,
      hitBytes: native.reduce((sum, each) => sum + (each?.hitBytes ?? 0), reads.hitBytes),
      missBytes: reads.missBytes,
    },
    latencies: { ...(all ?? own), ...latencies },
  }
}

export function measureGauges(cache: Cache, transport: Transport | null): Status['gauges'] {
  const held = transport?.gauges()
  return {
    requests: held?.inFlight ?? 0,
    interrupted: held?.interrupted ?? 0,
    inflightFetches: cache.counters.inflightFetches,
    openImages: held?.openImages ?? 0,
    openDirectories: held?.openDirectories ?? 0,
    nodes: held?.nodes ?? 0,
  }
}

export function measurePassthrough(cache: Cache, transport: Transport | null): Status['passthrough'] {
  const off = transport ? transport.passthroughOff : 'nothing is mounted'
  return { off: off ?? '', ...cache.counters.passthrough }
}
