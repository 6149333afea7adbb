/**
 * Interface of a transport that serves a mount to the daemon.
 */
import type { LatencyCounts } from '../../base/latency-histogram.ts'
import type { FileSystemGauges } from './file-system.ts'

/** Counts of the moment. */
export interface TransportGauges extends FileSystemGauges {
  /** Requests that wait for an answer, and those of them whose reader was interrupted. */
  readonly inFlight: number
  readonly interrupted: number
}

/** Requests answered without the filesystem, since the start. */
export interface TransportCounters {
  readonly hits: number
  readonly hitBytes: number
  /** Uses of sampled objects that found no room, see {@link Session.takeSamples}. */
  readonly droppedSamples: number
}

/** Latencies of those: answers from memory, and from the disk. */
export interface TransportLatencies {
  readonly memory: LatencyCounts
  readonly disk: LatencyCounts
}

export interface Deadlines {
  /** The time for which a request may wait for the rooms below, which should know its end before. */
  readonly deadlineMs: number
  /** The same for READs; null where they may wait for ever. Their readers can be killed. */
  readonly readDeadlineMs: number | null
}

/** A name that means nothing any more. */
export interface SupersededEntry {
  /** The directory of its origin in the root; null is the root itself. */
  readonly directory: string | null
  /** With the directories below that. */
  readonly name: string
}

export interface Transport {
  /**
   * Resolves when the session is over: errno 0 after `stop`, ENODEV after an unmount, else the errno of the failed
   * read.
   */
  readonly ended: Promise<number>
  /**
   * Does the kernel know this node, or is it open?
   * @param lost the node's name, if it means nothing any more: the kernel is asked to forget it if it keeps the node
   * for it, for the next time
   */
  knows(nodeId: bigint, lost: SupersededEntry | null): Promise<boolean>
  gauges(): TransportGauges
  /** Why the kernel reads no data file by itself, or null when it does. */
  readonly passthroughOff: string | null
  /** The time for which later requests may wait for their answers. */
  setDeadlines(deadlines: Deadlines): void
  /** See {@link FileSystem.rebind}. */
  rebind(): Promise<void>
  /** Hits of sampled objects since the last call, see {@link Session.takeSamples}. */
  takeSamples(): Float64Array
  counters(): TransportCounters
  latencies(): TransportLatencies
  /** Answer nothing from now on, and release all that is open. Idempotent. */
  stop(): Promise<void>
}
