/**
 * What the daemon needs of a transport that serves a mount, whichever it is.
 */
import type { LatencyCounts } from '../../base/latency-histogram.ts'
import type { FileSystemGauges } from './file-system.ts'

/** How many there are now. */
export interface TransportGauges extends FileSystemGauges {
  /** Requests that wait for an answer, and those of them whose reader was interrupted. */
  readonly inFlight: number
  readonly interrupted: number
}

/** What was answered without the filesystem being asked, since the start. */
export interface TransportCounters {
  readonly hits: number
  readonly hitBytes: number
}

/** How long that took: what memory answered, and what the disk answered. */
export interface TransportLatencies {
  readonly memory: LatencyCounts
  readonly disk: LatencyCounts
}

export interface Deadlines {
  /** How long a request may wait for what lies below; it should know its own end before. */
  readonly deadlineMs: number
  /** The same for READs; null where they may wait for ever. Their readers can be killed. */
  readonly readDeadlineMs: number | null
}

/** A name that means nothing any more. */
export interface SupersededEntry {
  /** The directory of the root that it was in; null is the root itself. */
  readonly directory: string | null
  readonly name: string
}

export interface Transport {
  /** Resolves when the session is over: errno 0 after `stop`, ENODEV after an unmount, else what reading failed with. */
  readonly ended: Promise<number>
  /**
   * Does the kernel know this node, or has anybody it open?
   * @param lost the node's name, if it means nothing any more: whoever keeps the node for it is asked to forget it, for the next time
   */
  knows(nodeId: bigint, lost: SupersededEntry | null): Promise<boolean>
  gauges(): TransportGauges
  /** Why the kernel reads no data file by itself, or null when it does. */
  readonly passthroughOff: string | null
  /** How long requests that come from now on may wait for their answers. */
  setDeadlines(deadlines: Deadlines): void
  counters(): TransportCounters
  latencies(): TransportLatencies
  /** Answer nothing from now on, and release all that is open. Idempotent. */
  stop(): Promise<void>
}
