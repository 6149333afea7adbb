/**
 * Block repair: writes right bytes over damaged blocks that cannot be dropped, because the kernel reads their data file
 * by itself. The bytes come from the origin; while it is away they are asked for again and again.
 */
import { messageOf } from '../../base/errors.ts'
import { type BlockRun, countOf, type Image, runsOf } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'

export interface BlockRepairContext {
  /** @throws CacheError not-found when it is no longer configured */
  originOf(image: Image): Origin
  readonly logger: Logger
}

export class BlockRepair {
  readonly #parts: BlockRepairContext
  readonly #stop = new AbortController()
  readonly #running = new Map<StoredImage, Promise<void>>()
  /** Images of which the log says that they wait. */
  readonly #failing = new WeakSet<StoredImage>()
  #blocks = 0

  constructor(parts: BlockRepairContext) {
    this.#parts = parts
  }

  /** Blocks that were mended since the start. */
  get repairedBlocks(): number {
    return this.#blocks
  }

  /** Mend what is broken of one image, as far as its origin gives it. Never rejects. */
  repair(stored: StoredImage): Promise<void> {
    const running = this.#running.get(stored) ?? this.#mend(stored).finally(() => this.#running.delete(stored))
    this.#running.set(stored, running)
    return running
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running.values())
  }

  async #mend(stored: StoredImage): Promise<void> {
    const { image } = stored
    const { logger } = this.#parts
    try {
      for (const object of [...stored.damagedObjects()]) {
        for (const run of runsOf(stored.damaged(object))) {
          if (this.#stop.signal.aborted) return
          await this.#mendRun(stored, object, run)
        }
      }
      this.#failing.delete(stored)
    } catch (error) {
      if (this.#stop.signal.aborted || this.#failing.has(stored)) return
      this.#failing.add(stored)
      const what =
        'damaged blocks of an image that the kernel reads by itself wait for its origin; who has it open may read them'
      logger.error({ image: image.key, err: error }, `${what}: ${messageOf(error)}`)
    }
  }

  async #mendRun(stored: StoredImage, object: number, run: BlockRun): Promise<void> {
    const { originOf, logger } = this.#parts
    const { offset, length } = stored.geometry.bytesOf(object, run)
    const bytes = Buffer.allocUnsafeSlow(length)
    await originOf(stored.image).read(stored.image, offset, bytes, { signal: this.#stop.signal })
    const before = countOf(stored.damaged(object))
    await stored.writeBlocks(object, run.first, bytes)
    const mended = before - countOf(stored.damaged(object))
    this.#blocks += mended
    if (mended > 0)
      logger.warn({ image: stored.image.key, object, blocks: mended }, 'damaged blocks were written again')
  }
}
