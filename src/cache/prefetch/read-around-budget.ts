/**
 * Read-around budget of one image: the neighbours of a miss that are worth fetching now.
 *
 * A byte is worth it while it costs less time than the wait that it may save: latency times bandwidth (see
 * path-estimator.ts). The credit bounds the waste: each byte fetched takes of it, each byte read gives back more than
 * itself. At most the operator's share of all bytes fetched stays unread, beside what it began with. Pure.
 */
import {
  type ReadAroundLimits,
  readAroundCreditMax,
  readAroundEarnedShare,
  readAroundMissShare,
} from '../fetch/limits.ts'
import type { PathEstimator } from '../fetch/path-estimator.ts'
import type { PrefetchAccuracy } from './prefetch-accuracy.ts'

/** Bytes in flight above which the path counts as busy, in waits: the missed blocks themselves and their neighbours. */
const busyWaits = 2

export type ReadAroundPath = Pick<PathEstimator, 'bytesPerWait' | 'inFlightBytes'>

export interface ReadAroundCounters {
  /** Reads whose neighbours were not fetched: too few of those before were read. */
  readonly overBudget: number
  /** The same, because readers filled the path to the origin. */
  readonly busy: number
}

/** Counts of all images together. */
export class ReadAroundTally {
  overBudget = 0
  busy = 0

  get counters(): ReadAroundCounters {
    return { overBudget: this.overBudget, busy: this.busy }
  }
}

export class ReadAroundBudget implements Pick<PrefetchAccuracy, 'fetched' | 'read' | 'unread'> {
  readonly #accuracy: PrefetchAccuracy
  readonly #limits: () => ReadAroundLimits
  readonly #tally: ReadAroundTally
  // INVARIANT: <= readAroundCreditMax times the start; fetched bytes <= start + read bytes / (1 - unreadShareMax) +
  // missed bytes * readAroundEarnedShare, and one request over.
  #creditBytes: number

  /** @param accuracy of all images together. @param limits of this one now: a reload changes them */
  constructor(accuracy: PrefetchAccuracy, limits: () => ReadAroundLimits, tally: ReadAroundTally) {
    this.#accuracy = accuracy
    this.#limits = limits
    this.#tally = tally
    this.#creditBytes = limits().startBytes
  }

  /** Neighbours worth fetching for one miss, in bytes. */
  bytesMax(path: ReadAroundPath): number {
    if (isBusy(path)) {
      this.#tally.busy++
      return 0
    }
    const { startBytes } = this.#limits()
    const most = readAroundMissShare * startBytes
    const worth = Math.min(most, path.bytesPerWait)
    // Crumbs cost a request each.
    if (this.#creditBytes >= most) return worth * Math.min(1, this.#creditBytes / startBytes)
    if (worth > 0) this.#tally.overBudget++
    return 0
  }

  /** A reader waits for so many bytes: where nothing fetched is ever read, this alone shows that times are better. */
  missed(bytes: number): void {
    this.#earn(bytes * readAroundEarnedShare)
  }

  fetched(bytes: number): void {
    this.#accuracy.fetched(bytes)
    this.#creditBytes -= bytes
  }

  read(bytes: number): void {
    this.#accuracy.read(bytes)
    this.#earn(bytes / (1 - this.#limits().unreadShareMax))
  }

  unread(bytes: number): void {
    this.#accuracy.unread(bytes)
  }

  #earn(bytes: number): void {
    this.#creditBytes = Math.min(readAroundCreditMax * this.#limits().startBytes, this.#creditBytes + bytes)
  }
}

/** Do the bytes in flight fill the path for so long that what is fetched ahead would make readers wait? */
export function isBusy({ bytesPerWait, inFlightBytes }: ReadAroundPath): boolean {
  return inFlightBytes > 0 && inFlightBytes >= busyWaits * bytesPerWait
}
