/**
 * Commits batches of written blocks to the index: data, sync, record.
 *
 * A batch ends after `batchBytesMax` or `batchMsMax`, whichever comes first. It has one entry for each object, however
 * many writes filled that. Its data files are synced, then its entries are recorded in one transaction, so that **a
 * record implies durable bytes**. An entry names only blocks whose write had returned before the sync began, and loses
 * those that are revoked before the transaction runs. A failed sync
 * is never retried as if it had worked: the kernel reports lost pages of a file once, and the next sync of that file
 * succeeds without them. So all blocks of the file that were written before the failure are revoked, and fetched again
 * at their next read.
 */

import { type RunAfter, runAfter } from '../../async/timers.ts'
import { type BlockRun, blocksPerObject, maskOf } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
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
  readonly run: BlockRun
  /** crc32c of each block of the run. */
  readonly sums: Uint32Array
  /** Mask of those that are zeros. */
  readonly zero: bigint
  readonly bytes: number
}

export interface CommitterOptions {
  readonly index: IndexDatabase
  readonly health: DiskHealth
  readonly logger: Logger
  readonly timing: Pick<DiskTimeouts, 'batchMsMax' | 'batchBytesMax'>
  /** Called after each batch, with the number of writes in it: the moment to measure the disk. */
  readonly onCommitted: (writes: number) => void
}

export class Committer {
  readonly #options: CommitterOptions
  readonly #after: RunAfter
  /** The open batch and the one under way, by object. */
  #open = new Map<string, Uncommitted>()
  #underWay = new Map<string, Uncommitted>()
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

  add({ target, object, run, sums, zero, bytes }: WrittenBlocks): void {
    const key = target.lockKey(object)
    let entry = this.#open.get(key)
    if (!entry) {
      entry = {
        target,
        object,
        blocks: 0n,
        zero: 0n,
        sums: new Uint32Array(blocksPerObject),
        revoked: 0n,
        bytes: 0,
        writes: 0,
      }
      this.#open.set(key, entry)
    }
    const blocks = maskOf(run)
    entry.blocks |= blocks
    entry.zero = (entry.zero & ~blocks) | zero
    entry.sums.set(sums, run.first)
    entry.revoked &= ~blocks
    entry.writes++
    entry.bytes += bytes
    this.#openBytes += bytes
    const { batchBytesMax, batchMsMax } = this.#options.timing
    if (this.#openBytes >= batchBytesMax || this.#open.size >= batchEntriesMax)
      void this.flush() // Never rejects: #commit reports to the log.
    else this.#cancelTimer ??= this.#after(batchMsMax, () => void this.flush())
  }

  /** `blocks` of an object lose their bytes: what is not recorded of them yet never will be. */
  revoke(key: string, blocks: bigint): void {
    for (const batch of [this.#open, this.#underWay]) {
      const entry = batch.get(key)
      if (entry) entry.revoked |= blocks
    }
  }

  /** Is anything of `target` not recorded yet? */
  hasPending(target: CommitTarget): boolean {
    for (const batch of [this.#open, this.#underWay]) {
      for (const entry of batch.values()) if (entry.target === target) return true
    }
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
    if (this.#open.size === 0) return
    const batch = this.#open
    this.#underWay = batch
    this.#open = new Map()
    this.#openBytes = 0
    const failed = await this.#sync(new Set([...batch.values()].map(entry => entry.target)))
    this.#takeOpen(failed)
    if (failed.size > 0 || !(await this.#record([...batch.values()]))) {
      this.#failures++
      this.#options.logger.error({ entries: batch.size }, 'a batch did not become durable; its blocks are dropped')
      const lost = [...batch.values()]
      await Promise.all(lost.map(({ target, object, blocks }) => target.abandon(object, blocks).catch(() => {})))
    }
    this.#underWay = new Map()
    this.#options.onCommitted([...batch.values()].reduce((sum, { writes }) => sum + writes, 0))
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

  /** Entries of the open batch that were written into one of `targets` are lost with the batch under way. */
  #takeOpen(targets: ReadonlySet<CommitTarget>): void {
    for (const [key, entry] of this.#open) {
      if (!targets.has(entry.target)) continue
      this.#open.delete(key)
      this.#openBytes -= entry.bytes
      const { blocks = 0n, writes = 0, bytes = 0 } = this.#underWay.get(key) ?? {}
      entry.blocks |= blocks
      entry.writes += writes
      entry.bytes += bytes
      this.#underWay.set(key, entry)
    }
  }
}

/** Blocks of one object that were written and are not recorded. */
interface Uncommitted {
  readonly target: CommitTarget
  readonly object: number
  blocks: bigint
  zero: bigint
  readonly sums: Uint32Array
  revoked: bigint
  bytes: number
  writes: number
}

function recordOf(entry: Uncommitted) {
  const { target, object, zero, sums } = entry
  // Asked inside the transaction: a revocation that comes later has its own transaction, which runs after this one.
  return { imageId: target.imageId, object, zero, sums, blocks: () => entry.blocks & ~entry.revoked }
}
