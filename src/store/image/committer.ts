/**
 * Commits batches of written blocks to the index: data, sync, record.
 *
 * A batch ends after `batchBytesMax` or `batchMsMax`, whichever comes first. Its data files are synced, then its
 * entries are recorded in one transaction, so that **a record implies durable bytes**. An entry names only blocks whose
 * write had returned before the sync began, and loses those that are revoked before the transaction runs. A failed sync
 * is never retried as if it had worked: the kernel reports lost pages of a file once, and the next sync of that file
 * succeeds without them. So all blocks of the file that were written before the failure are revoked, and fetched again
 * at their next read.
 */

import { type RunAfter, runAfter } from '../../async/timers.ts'
import type { Logger } from '../../base/logger.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { WrittenSums } from '../../native/addon.ts'
import type { DiskHealth } from '../disk/disk-health.ts'
import type { DiskTimeouts } from '../disk/disk-timeouts.ts'
import { batchEntriesMax } from './limits.ts'

/** Interface of a stored image to the committer. */
export interface CommitTarget {
  readonly imageId: string
  /** Names an object of this image among all. */
  lockKey(object: number): string
  /** Make the data file's directory entry durable, and its bytes. */
  sync(): Promise<void>
  /** The blocks did not become durable: give them up. */
  abandon(object: number, blocks: bigint): Promise<void>
}

/** Blocks whose bytes were written. */
export interface WrittenBlocks {
  readonly target: CommitTarget
  readonly object: number
  readonly first: number
  readonly blocks: bigint
  readonly landed: WrittenSums
  readonly bytes: number
}

export interface CommitterOptions {
  readonly index: IndexDatabase
  readonly health: DiskHealth
  readonly logger: Logger
  readonly timing: Pick<DiskTimeouts, 'batchMsMax' | 'batchBytesMax'>
  /** Called after each batch: the moment to measure the disk. */
  readonly onCommitted: (entries: readonly WrittenBlocks[]) => void
}

export class Committer {
  readonly #options: CommitterOptions
  readonly #after: RunAfter
  #open: Uncommitted[] = []
  /** All entries that are not recorded yet, by object: the open batch and the one under way. */
  readonly #byObject = new Map<string, Uncommitted[]>()
  #openBytes = 0
  /** Of the flush that ends the open batch after its time. */
  #cancelTimer: (() => void) | null = null
  /** The end of the batch under way; batches run one after another. */
  #running: Promise<void> = Promise.resolve()
  #failures = 0

  constructor(options: CommitterOptions, after: RunAfter = runAfter) {
    this.#options = options
    this.#after = after
  }

  /** Batches that were lost to a failed sync or a failed write of the index. */
  get failures(): number {
    return this.#failures
  }

  add(landed: WrittenBlocks): void {
    const entry = { ...landed, revoked: 0n }
    const key = entry.target.lockKey(entry.object)
    this.#open.push(entry)
    this.#byObject.set(key, [...(this.#byObject.get(key) ?? []), entry])
    this.#openBytes += entry.bytes
    const { batchBytesMax, batchMsMax } = this.#options.timing
    if (this.#openBytes >= batchBytesMax || this.#open.length >= batchEntriesMax)
      void this.flush() // Never rejects: #commit reports to the log.
    else this.#cancelTimer ??= this.#after(batchMsMax, () => void this.flush())
  }

  /** `blocks` of an object lose their bytes: what is not recorded of them yet never will be. */
  revoke(key: string, blocks: bigint): void {
    for (const entry of this.#byObject.get(key) ?? []) entry.revoked |= blocks
  }

  /** Is anything of `target` not recorded yet? */
  hasPending(target: CommitTarget): boolean {
    for (const entries of this.#byObject.values()) if (entries.some(entry => entry.target === target)) return true
    return false
  }

  /** Commit what has been added so far. Resolves when it is durable or given up; never rejects. */
  flush(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#running = this.#running.then(() => this.#commit())
    return this.#running
  }

  async #commit(): Promise<void> {
    const entries = this.#open
    if (entries.length === 0) return
    this.#open = []
    this.#openBytes = 0
    const failed = await this.#sync(new Set(entries.map(entry => entry.target)))
    const lost = failed.size > 0 ? [...entries, ...this.#takeOpen(failed)] : entries
    if (failed.size > 0 || !(await this.#record(entries))) {
      this.#failures++
      this.#options.logger.error({ entries: lost.length }, 'a batch did not become durable; its blocks are dropped')
      await Promise.all(lost.map(({ target, object, blocks }) => target.abandon(object, blocks).catch(() => {})))
    }
    const committed = new Set(lost)
    for (const { target, object } of lost) this.#settle(target.lockKey(object), committed)
    this.#options.onCommitted(lost)
  }

  /** @returns those whose sync failed; the disk's health has been told */
  async #sync(targets: ReadonlySet<CommitTarget>): Promise<ReadonlySet<CommitTarget>> {
    const failed = new Set<CommitTarget>()
    const syncs = [...targets].map(target =>
      target.sync().catch(error => {
        failed.add(target)
        this.#options.health.syncFailed(error)
      }),
    )
    await this.#options.health.watchWrite(Promise.all(syncs))
    return failed
  }

  /** @returns whether it succeeded; the health has heard of what failed */
  async #record(entries: readonly Uncommitted[]): Promise<boolean> {
    try {
      await this.#options.health.watchWrite(this.#options.index.record(entries.map(recordOf)))
      return true
    } catch (error) {
      this.#options.health.writeFailed(error)
      return false
    }
  }

  /** Entries of the open batch that were written into one of `targets`. */
  #takeOpen(targets: ReadonlySet<CommitTarget>): Uncommitted[] {
    const taken = this.#open.filter(({ target }) => targets.has(target))
    this.#open = this.#open.filter(({ target }) => !targets.has(target))
    this.#openBytes = this.#open.reduce((sum, { bytes }) => sum + bytes, 0)
    return taken
  }

  #settle(key: string, committed: ReadonlySet<Uncommitted>): void {
    const left = this.#byObject.get(key)?.filter(entry => !committed.has(entry)) ?? []
    if (left.length > 0) this.#byObject.set(key, left)
    else this.#byObject.delete(key)
  }
}

interface Uncommitted extends WrittenBlocks {
  revoked: bigint
}

function recordOf(entry: Uncommitted) {
  const { target, object, first, blocks, landed } = entry
  const sums = new Uint32Array(64)
  sums.set(landed.sums, first)
  return {
    imageId: target.imageId,
    object,
    zero: landed.zero << BigInt(first),
    sums,
    // Asked inside the transaction: a revocation that comes later has its own transaction, which runs after this one.
    blocks: () => blocks & ~entry.revoked,
  }
}
