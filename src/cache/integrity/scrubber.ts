/**
 * Scrubber: compares every block of the store with its checksum, over and over, as long as the daemon runs.
 *
 * First come the blocks that were recorded before this boot and have not been read since, as fast as the rate allows:
 * good ones are published, so that their first read is a native hit already. Then round after round over all blocks,
 * published ones too. A bad one is taken from readers, dropped, and fetched again at its next read. The disk is read,
 * not the page cache, which stays as it is.
 *
 * A round is spread evenly over the interval: lately verified blocks are left in peace. Readers come first: one piece
 * at a time, at a bounded rate, later while they are busy, and nothing while the disk is sick.
 */

import { pause } from '../../async/pause.ts'
import { RatePacer } from '../../async/rate-pacer.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { messageOf } from '../../base/errors.ts'
import { countOf } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import {
  scrubBusyLookMs,
  scrubBusyShareMax,
  scrubBytesPerSecond,
  scrubIntervalMs,
  scrubLookMsMax,
  scrubPieceBytesMax,
  scrubPieceBytesMin,
  sickLookMs,
} from './limits.ts'

/** Settings that can be changed while it runs. */
export interface ScrubPace {
  /** At most. */
  readonly bytesPerSecond: number
  /** The time of a round, unless that rate makes it longer. */
  readonly intervalMs: number
}

export interface ScrubberOptions extends ScrubPace {
  /** Is a reader being answered now? */
  readonly isBusy: () => boolean
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Waits so long, or until the signal fires. */
  readonly wait: (ms: number, signal: CancelSignal) => Promise<void>
}

/** For status. */
export interface ScrubCounters {
  /** Rounds over everything that have ended. */
  readonly rounds: number
  /** The age of the round under way. */
  readonly roundStartedSeconds: number
  /** Bytes that were compared with their checksums by the scrub since the start. */
  readonly verifiedBytes: number
  /** Damaged blocks since the start, found by any check. */
  readonly corruptBlocks: number
}

const scrubberOptionsDefault: Omit<ScrubberOptions, 'isBusy'> = {
  bytesPerSecond: scrubBytesPerSecond,
  intervalMs: scrubIntervalMs,
  now: () => performance.now(),
  wait: pause,
}

export class Scrubber {
  readonly #store: Store
  readonly #logger: Logger
  readonly #options: ScrubberOptions
  readonly #pace: RatePacer
  readonly #stop = new AbortController()
  #intervalMs: number
  #running: Promise<void> | undefined
  #rounds = 0
  #roundStartedMs: number
  #verifiedBytes = 0

  constructor(store: Store, logger: Logger, options: Pick<ScrubberOptions, 'isBusy'> & Partial<ScrubberOptions>) {
    this.#store = store
    this.#logger = logger
    this.#options = { ...scrubberOptionsDefault, ...options }
    this.#pace = new RatePacer(this.#options.bytesPerSecond, this.#options.now, this.#options.wait)
    this.#intervalMs = this.#options.intervalMs
    this.#roundStartedMs = this.#options.now()
  }

  get counters(): ScrubCounters {
    return {
      rounds: this.#rounds,
      roundStartedSeconds: Math.round((this.#options.now() - this.#roundStartedMs) / 1000),
      verifiedBytes: this.#verifiedBytes,
      corruptBlocks: this.#store.corruptBlocks,
    }
  }

  /** Another pace from now on. */
  setPace({ bytesPerSecond, intervalMs }: ScrubPace): void {
    this.#pace.set(bytesPerSecond)
    this.#intervalMs = intervalMs
  }

  /** Begin; it goes on until {@link close}. Idempotent. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Stop at once: what is being read now is not waited for longer than the disk may take. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    await this.#round(unpublishedBlocks)
    while (!this.#stop.signal.aborted) {
      this.#roundStartedMs = this.#options.now()
      await this.#round(heldBlocks, doneBytes => this.#turn(doneBytes))
      if (this.#stop.signal.aborted) return
      this.#rounds++
      const tookMs = this.#options.now() - this.#roundStartedMs
      this.#logger.debug({ round: this.#rounds, tookMs, ...this.counters }, 'a round of the scrub has ended')
      await this.#waitUntil(() => this.#roundStartedMs + this.#intervalMs)
    }
  }

  /**
   * Once over all objects; never rejects.
   * @param turn waits for that of the next piece, after so many bytes
   */
  async #round(
    blocksOf: (stored: StoredImage, object: number) => bigint,
    turn: (doneBytes: number) => Promise<void> = async () => {},
  ): Promise<void> {
    let doneBytes = 0
    for (const stored of [...this.#store.images()]) {
      for (const object of stored.heldObjects()) {
        for (const piece of piecesOf(blocksOf(stored, object), stored.geometry.blockBytes)) {
          await turn(doneBytes)
          await this.#piece(stored, object, piece)
          if (this.#stop.signal.aborted) return
          doneBytes += countOf(piece) * stored.geometry.blockBytes
        }
      }
    }
  }

  /** The time of the round at which so many bytes are due: a share of the interval; later while readers are busy. */
  async #turn(doneBytes: number): Promise<void> {
    const { now, wait, isBusy } = this.#options
    const { signal } = this.#stop
    const due = () => this.#roundStartedMs + this.#intervalMs * Math.min(1, doneBytes / Math.max(1, this.#heldBytes()))
    await this.#waitUntil(due)
    while (isBusy() && now() < due() + this.#intervalMs * scrubBusyShareMax && !signal.aborted) {
      await wait(scrubBusyLookMs, signal)
    }
  }

  /** The moment is asked for again now and then: the interval, and what is held, may be another one. */
  async #waitUntil(moment: () => number): Promise<void> {
    const { now, wait } = this.#options
    const { signal } = this.#stop
    for (let ms = moment() - now(); ms > 0 && !signal.aborted; ms = moment() - now()) {
      await wait(Math.min(ms, scrubLookMsMax), signal)
    }
  }

  #heldBytes(): number {
    let bytes = 0
    for (const stored of this.#store.images()) bytes += stored.heldBytes
    return bytes
  }

  async #piece(stored: StoredImage, object: number, blocks: bigint): Promise<void> {
    const { signal } = this.#stop
    while (this.#store.health.state !== 'healthy' && !signal.aborted) await this.#options.wait(sickLookMs, signal)
    if (signal.aborted) return
    try {
      const checked = await stored.scrub(object, blocks, true)
      this.#verifiedBytes += countOf(checked) * stored.geometry.blockBytes
    } catch (error) {
      const what = `the scrub passes over an object: ${messageOf(error)}`
      this.#logger.warn({ image: stored.image.key, object, err: error }, what)
    }
    // A piece of one block costs the same look-ups as one of many.
    await this.#pace.spend(Math.max(scrubPieceBytesMin, countOf(blocks) * stored.geometry.blockBytes), signal)
  }
}

function unpublishedBlocks(stored: StoredImage, object: number): bigint {
  return stored.held(object) & ~stored.residency.resident(object)
}

function heldBlocks(stored: StoredImage, object: number): bigint {
  return stored.held(object)
}

/** The blocks of `mask` in parts of at most `bytesMax`, or one block each: how long an object is locked. */
export function* piecesOf(mask: bigint, blockBytes: number, bytesMax = scrubPieceBytesMax): Generator<bigint> {
  const blocksMax = Math.max(1, Math.floor(bytesMax / blockBytes))
  const window = (1n << BigInt(blocksMax)) - 1n
  for (let first = 0; first < 64; first += blocksMax) {
    const piece = mask & (window << BigInt(first))
    if (piece !== 0n) yield piece
  }
}
