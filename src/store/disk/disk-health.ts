/**
 * Health of the cache disk: the operations that the store may be asked for now.
 *
 * - `healthy`: everything.
 * - `degraded`: writing failed; hits go on, nothing is promoted.
 * - `bypass`: reading failed or stalled; reads go to the origin, except those that the page cache answers.
 * - `recovering`: a probe wrote, synced and read back; some more in a row, and the state is healthy again. Until then
 * the restrictions of the state before hold.
 *
 * It takes several failures in a short time to leave `healthy` (one, where it can only repeat: a full or a read-only
 * file system, a failed sync, a stall), and several good probes in a row to come back. Each change is one log line.
 */
import { type RunAfter, runAfterTurn } from '../../async/timers.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { DiskTimeouts } from './disk-timeouts.ts'
import {
  healthFailuresMax,
  healthFailuresWindowMs,
  healthProbesNeeded,
  probeIntervalMsMax,
  probeIntervalMsMin,
  storeReadLookMs,
} from './limits.ts'

export type DiskHealthState = 'healthy' | 'degraded' | 'bypass' | 'recovering'

export interface DiskHealthOptions {
  /** Write, sync and read back something small. Rejects when any of it fails or takes too long. */
  readonly probe: () => Promise<void>
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly after: RunAfter
  /** Hears of each change of the state, and of `mayWait`. */
  readonly onChange: (health: DiskHealth) => void
  /** The time for which the oldest read has kept the disk busy until now, in milliseconds. */
  readonly readingMs: () => number
  /** The time that reads and writes may take. */
  readonly timing: Pick<DiskTimeouts, 'readMsMax' | 'writeMsMax'>
}

/** Errors after which trying again at once is pointless. */
const lastingCodes = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'ENODEV', 'ENXIO', 'ESHUTDOWN'])

export class DiskHealth {
  readonly #options: DiskHealthOptions
  #state: DiskHealthState = 'healthy'
  /** The restriction while recovering, and after a failed probe. */
  #restriction: 'degraded' | 'bypass' = 'degraded'
  #reason = ''
  #sinceMs: number
  #failuresMs: number[] = []
  #goodProbes = 0
  #intervalMs = probeIntervalMsMin
  #cancelProbe: () => void = () => {}
  #closed = false
  /** Until when reads are spared a disk that works and has too much to do. */
  #busyUntilMs = Number.NEGATIVE_INFINITY
  #busyTimes = 0

  constructor(options: DiskHealthOptions) {
    this.#options = options
    this.#sinceMs = options.now()
  }

  /** The time a read waits for the disk, in milliseconds. */
  get readMsMax(): number {
    return this.#options.timing.readMsMax
  }

  get state(): DiskHealthState {
    return this.#state
  }

  /** Why the state is not healthy; empty when it is. */
  get reason(): string {
    return this.#reason
  }

  get sinceMs(): number {
    return this.#sinceMs
  }

  /**
   * May a read wait for the disk now? Not while it is sick, and not for a moment after it kept others waiting too long.
   */
  get mayWait(): boolean {
    return this.mayRead && this.#options.now() >= this.#busyUntilMs
  }

  /** Times that reads waited too long for a disk that works. */
  get busyTimes(): number {
    return this.#busyTimes
  }

  /** Is the disk well enough to be read? */
  get mayRead(): boolean {
    return this.#state === 'healthy' || this.#restriction !== 'bypass'
  }

  /** May anything be written? */
  get mayWrite(): boolean {
    return this.#state === 'healthy'
  }

  /** A read of a data file or of the index failed; a checksum that does not match is no failure of this kind. */
  readFailed(error: unknown): void {
    this.#failed('bypass', `reading failed: ${messageOf(error)}`, isLasting(error))
  }

  writeFailed(error: unknown): void {
    this.#failed('degraded', `writing failed: ${messageOf(error)}`, isLasting(error))
  }

  /** A sync that failed may have lost what was written before: there is no second try. */
  syncFailed(error: unknown): void {
    this.#failed('degraded', `a sync failed: ${messageOf(error)}`, true)
  }

  /**
   * Reads waited too long. Where the disk has kept one of them for that long, it stalls; where they only waited for
   * each other, reads go to the origin for as long as one may wait, and the state stays.
   * @param ms the time that a read may keep the disk
   */
  late(ms: number): void {
    if (this.#options.readingMs() >= ms) {
      this.stalled('read', ms)
      return
    }
    const { now, after, onChange } = this.#options
    if (this.#closed || !this.mayWait) return
    this.#busyTimes++
    this.#busyUntilMs = now() + this.readMsMax
    after(this.readMsMax, () => onChange(this))
    onChange(this)
  }

  /** The disk is passed by from now on, whatever it is like: no probe brings it back. */
  forceBypass(reason: string): void {
    this.close()
    this.#restriction = 'bypass'
    this.#change('bypass', reason)
  }

  /** Something did not come back in time. */
  stalled(what: 'read' | 'write', ms: number): void {
    this.#failed(what === 'read' ? 'bypass' : 'degraded', `a ${what} took over ${ms} ms`, true)
  }

  /**
   * The result of `read`, or `late` when it takes longer than `readMsMax` or fails; both are noted. A late read may
   * still end: its buffer must not be used for anything else.
   * @param hasBegun false while it still waits for a lock: then it is late, and the disk is not to blame
   */
  async watchRead<T>(read: Promise<T>, late: T, hasBegun: () => boolean = () => true): Promise<T> {
    const isLate = Symbol('late')
    const { promise: deadline, cancel } = this.#deadline(this.readMsMax, isLate)
    try {
      const value = await Promise.race([read, deadline])
      if (value !== isLate) return value as T
      if (hasBegun()) this.late(this.readMsMax - storeReadLookMs)
    } catch (error) {
      this.readFailed(error)
    } finally {
      cancel()
    }
    return late
  }

  /** The result of `work`, or of `late` when it takes longer than `readMsMax`, for which the disk is not to blame. */
  async waitAsForRead<T>(work: Promise<T>, late: () => T): Promise<T> {
    const { promise: deadline, cancel } = this.#deadline(this.readMsMax, null)
    try {
      return await Promise.race([work, deadline.then(late)])
    } finally {
      cancel()
    }
  }

  /** `write` as it is; when it takes longer than `writeMsMax`, that is noted meanwhile. */
  async watchWrite<T>(write: Promise<T>): Promise<T> {
    const { after, timing } = this.#options
    const cancel = after(timing.writeMsMax, () => this.stalled('write', timing.writeMsMax))
    try {
      return await write
    } finally {
      cancel()
    }
  }

  /** No probe runs any more. Idempotent. */
  close(): void {
    this.#closed = true
    this.#cancelProbe()
  }

  #deadline<T>(ms: number, value: T): { readonly promise: Promise<T>; readonly cancel: () => void } {
    let cancel!: () => void
    const promise = new Promise<T>(resolve => {
      cancel = runAfterTurn(ms, () => resolve(value), this.#options.after)
    })
    return { promise, cancel }
  }

  #failed(restriction: 'degraded' | 'bypass', reason: string, lasting: boolean): void {
    if (this.#closed) return
    const now = this.#options.now()
    this.#failuresMs = [...this.#failuresMs.filter(ms => now - ms < healthFailuresWindowMs), now]
    const worse = this.#state === 'healthy' || (restriction === 'bypass' && this.#restriction === 'degraded')
    if (!worse) return
    if (!lasting && this.#failuresMs.length < healthFailuresMax) return
    this.#restriction = restriction
    this.#intervalMs = probeIntervalMsMin
    this.#change(restriction, reason)
    this.#scheduleProbe()
  }

  #scheduleProbe(): void {
    this.#cancelProbe()
    if (this.#closed) return
    this.#cancelProbe = this.#options.after(this.#intervalMs, () => void this.#probe()) // Handles its own errors.
  }

  async #probe(): Promise<void> {
    try {
      await this.#options.probe()
      if (this.#closed) return
      this.#goodProbes++
      if (this.#goodProbes >= healthProbesNeeded) {
        this.#failuresMs = []
        this.#change('healthy', '')
        return
      }
      if (this.#state !== 'recovering') this.#change('recovering', this.#reason)
      this.#intervalMs = probeIntervalMsMin
    } catch (error) {
      if (this.#closed) return
      this.#goodProbes = 0
      this.#intervalMs = Math.min(this.#intervalMs * 2, probeIntervalMsMax)
      if (this.#state === 'recovering') this.#change(this.#restriction, `a probe failed: ${messageOf(error)}`)
    }
    this.#scheduleProbe()
  }

  #change(state: DiskHealthState, reason: string): void {
    const { logger, now, onChange } = this.#options
    const before = this.#state
    this.#state = state
    this.#reason = reason
    this.#sinceMs = now()
    if (state === 'degraded' || state === 'bypass') this.#goodProbes = 0
    const fields = { from: before, to: state, reason }
    if (state === 'healthy') logger.info(fields, 'the cache disk is healthy again')
    else if (state === 'recovering') logger.info(fields, 'the cache disk answers a probe')
    else
      logger.error(
        fields,
        state === 'bypass'
          ? 'cache disk bypassed: reads go to the origin'
          : 'cache disk degraded: nothing is promoted, hits go on',
      )
    onChange(this)
  }
}

function isLasting(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const { code } = (cause ?? {}) as NodeJS.ErrnoException
  return (
    (code !== undefined && lastingCodes.has(code)) ||
    /No space left|Read-only file system|Disk quota exceeded/.test(messageOf(cause))
  )
}
