/**
 * The scrub: every block that the store holds is compared with its checksum, over and over, as long as the daemon runs.
 *
 * First comes what was recorded before this boot and has not been read since: what is right is published, so that its first
 * read is a native hit already. Then round after round over everything, published blocks too: a bad one is taken from
 * readers, dropped, and fetched again when somebody wants it. The disk is read, not the page cache, which stays as it is.
 *
 * Readers come first: one piece at a time, at a bounded pace, and nothing while the disk is sick.
 */
import { messageOf } from '../errors.ts'
import { countOf } from '../image.ts'
import { scrubBytesPerSecond, scrubPieceBytesMax, scrubPieceBytesMin, scrubRoundMsMin, sickLookMs } from '../limits.ts'
import type { Logger } from '../logger.ts'
import type { Store } from '../store/store.ts'
import type { StoredImage } from '../store/stored-image.ts'
import { Pace, pause } from './pace.ts'

export interface ScrubberOptions {
  readonly bytesPerSecond: number
  /** A round takes at least this long. */
  readonly roundMsMin: number
  /** Milliseconds, never going back. */
  readonly now: () => number
}

/** For status. */
export interface ScrubCounters {
  /** Rounds over everything that have ended. */
  readonly rounds: number
  /** How long ago the round under way began. */
  readonly roundStartedSeconds: number
  /** Bytes that were compared with their checksums by the scrub since the start. */
  readonly verifiedBytes: number
  /** Blocks that were not what they should be, whoever found them, since the start. */
  readonly corruptBlocks: number
}

export const scrubberOptionsDefault: ScrubberOptions = {
  bytesPerSecond: scrubBytesPerSecond,
  roundMsMin: scrubRoundMsMin,
  now: () => performance.now(),
}

export class Scrubber {
  readonly #store: Store
  readonly #logger: Logger
  readonly #options: ScrubberOptions
  readonly #pace: Pace
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #rounds = 0
  #roundStartedMs: number
  #verifiedBytes = 0

  constructor(store: Store, logger: Logger, options: Partial<ScrubberOptions> = {}) {
    this.#store = store
    this.#logger = logger
    this.#options = { ...scrubberOptionsDefault, ...options }
    this.#pace = new Pace(this.#options.bytesPerSecond, this.#options.now)
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
  setPace(bytesPerSecond: number): void {
    this.#pace.set(bytesPerSecond)
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
      await this.#round(heldBlocks)
      if (this.#stop.signal.aborted) return
      this.#rounds++
      const tookMs = this.#options.now() - this.#roundStartedMs
      this.#logger.debug({ round: this.#rounds, tookMs, ...this.counters }, 'a round of the scrub has ended')
      await pause(this.#options.roundMsMin - tookMs, this.#stop.signal)
    }
  }

  /** Once over all objects; never rejects. */
  async #round(blocksOf: (stored: StoredImage, object: number) => bigint): Promise<void> {
    for (const stored of [...this.#store.images()]) {
      for (const object of stored.heldObjects()) {
        for (const piece of piecesOf(blocksOf(stored, object), stored.geometry.blockBytes)) {
          await this.#piece(stored, object, piece)
          if (this.#stop.signal.aborted) return
        }
      }
    }
  }

  async #piece(stored: StoredImage, object: number, blocks: bigint): Promise<void> {
    const { signal } = this.#stop
    while (this.#store.health.state !== 'healthy' && !signal.aborted) await pause(sickLookMs, signal)
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
