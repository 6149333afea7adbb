/**
 * Delta copier: after an upgrade of a name, brings the blocks of its new version that the older one has into the
 * store, in the order of the last boot's profile and then from the front. No block of it is fetched.
 *
 * The older version stays until that is done. Readers come first: one piece at a time, and none while any waits for an
 * origin.
 */
import { pause } from '../../async/pause.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import { SharedRun } from '../../async/shared-run.ts'
import { isCacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { Delta } from '../../origin/sealed/delta.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { MountedOrigin } from '../fetch/origin-table.ts'
import { piecesOf } from '../integrity/scrubber.ts'
import type { Catalog } from '../names/catalog.ts'
import type { MissReader } from '../read/miss-reader.ts'
import { copiedVersionsMax, deltaLookMs, deltaMsMax, promotePauseMs, promotePieceBytesMax } from './limits.ts'

export interface DeltaCopierContext {
  readonly store: Store
  readonly index: Pick<IndexDatabase, 'profile'>
  readonly catalog: Pick<Catalog, 'superseded' | 'imageOfName'>
  readonly origins: readonly Pick<MountedOrigin, 'origin' | 'seals'>[]
  readonly reader: MissReader
  readonly logger: Logger
  /** May blocks of the image be kept? */
  isKept(image: Image): boolean
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export class DeltaCopier {
  readonly #parts: DeltaCopierContext
  readonly #stop = new AbortController()
  readonly #looks = new PeriodicTask(deltaLookMs, () => this.check())
  readonly #runs = new SharedRun()
  /** Older versions from which everything was taken, or nothing can be. */
  readonly #done = new LruMap<string, true>(copiedVersionsMax)
  /** The time at which an older version was seen first. */
  readonly #sinceMs = new LruMap<string, number>(copiedVersionsMax)
  #copiedBytes = 0

  constructor(parts: DeltaCopierContext) {
    this.#parts = parts
  }

  /** Bytes of new versions that were taken from older ones in the background. */
  get copiedBytes(): number {
    return this.#copiedBytes
  }

  /** Look every now and then, until {@link close}. */
  start(): void {
    this.#looks.start()
  }

  /** Must an older version stay, because blocks of it are still to be taken? */
  isSource(imageId: string): boolean {
    const stored = this.#parts.store.find(imageId)
    if (!stored || stored.heldBytes === 0 || this.#done.has(imageId)) return false
    const { image } = stored
    const current = this.#currentOf(image)
    if (!current || current.id === imageId || !this.#sealsOf(image)?.isWanted(current)) return false
    const sinceMs = this.#sinceMs.get(image.id) ?? this.#parts.now()
    this.#sinceMs.set(image.id, sinceMs)
    return this.#parts.now() - sinceMs < deltaMsMax
  }

  /** Look now. Never rejects. */
  check(): Promise<void> {
    return this.#runs.run(() => this.#pass())
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#looks.stop()
    this.#stop.abort()
    await this.#runs.current
  }

  async #pass(): Promise<void> {
    const { catalog, logger, isKept } = this.#parts
    for (const { image: older } of catalog.superseded()) {
      if (this.#stop.signal.aborted) return
      const current = this.#currentOf(older)
      if (!current || !this.isSource(older.id)) continue
      try {
        if (isKept(current)) await this.#copy(current)
        this.#end(older, current)
      } catch (error) {
        if (this.#stop.signal.aborted) return
        // An origin that is away may be back: the older version stays until then.
        if (isCacheError(error, 'image-changed', 'image-unproven', 'image-corrupt')) this.#end(older, current)
        const message = 'blocks of an older version could not be taken over'
        logger.debug({ image: current.key, reason: messageOf(error) }, message)
      }
    }
  }

  /** The image that its name means now. */
  #currentOf(image: Image): Image | null {
    const { origins, catalog } = this.#parts
    const mounted = origins.find(({ origin }) => origin.url === image.origin)
    return mounted ? (catalog.imageOfName(mounted.origin, image.key)?.image ?? null) : null
  }

  #sealsOf(image: Image) {
    return this.#parts.origins.find(({ origin }) => origin.url === image.origin)?.seals ?? null
  }

  #end(older: Image, current: Image): void {
    this.#done.set(older.id, true)
    this.#sinceMs.delete(older.id)
    this.#sealsOf(current)?.endDelta(current)
  }

  async #copy(current: Image): Promise<void> {
    const { store, logger } = this.#parts
    const seal = await this.#sealsOf(current)?.prepare(current, this.#stop)
    const stored = seal?.delta ? await store.use(current) : null
    if (!seal?.delta || !stored) return
    const before = this.#copiedBytes
    for (const { object, blocks } of this.#pieces(stored)) {
      if (this.#stop.signal.aborted) return
      while (this.#parts.reader.waiting > 0 && !this.#stop.signal.aborted) {
        await pause(promotePauseMs, this.#stop.signal)
      }
      await this.#take(stored, seal.delta, object, blocks)
    }
    const fields = { image: current.key, bytes: this.#copiedBytes - before }
    logger.info(fields, 'blocks that an older version has were taken over')
  }

  /** Those of the blocks that need no fetch. */
  async #take(stored: StoredImage, delta: Delta, object: number, wanted: bigint): Promise<void> {
    const { geometry } = stored
    let blocks = 0n
    let bytes = 0
    for (let k = 0; k < 64; k++) {
      const bit = 1n << BigInt(k)
      if ((wanted & ~stored.held(object) & bit) === 0n) continue
      const { offset, length } = geometry.bytesOf(object, { first: k, count: 1 })
      const runs = await delta.runsOf(offset, length, this.#stop)
      if (runs.some(({ source }) => source === null)) continue
      blocks |= bit
      bytes += length
    }
    if (blocks === 0n || !this.#parts.store.capacity.fits(bytes)) return
    await this.#parts.reader.fill(stored, object, blocks, this.#stop.signal)
    this.#copiedBytes += bytes
  }

  /** The blocks that a boot reads first, then everything. */
  *#pieces(stored: StoredImage): Generator<{ readonly object: number; readonly blocks: bigint }> {
    const { geometry, image } = stored
    const profile = this.#parts.index.profile(image.origin, image.key)
    for (const [first, count] of profile?.runs ?? []) {
      const offset = first * profile!.blockBytes
      const length = Math.min(count * profile!.blockBytes, image.sizeBytes - offset)
      if (length > 0) yield* geometry.parts(offset, length)
    }
    for (let object = 0; object < geometry.objects; object++) {
      for (const blocks of piecesOf(geometry.blocksOf(object), geometry.blockBytes, promotePieceBytesMax)) {
        yield { object, blocks }
      }
    }
  }
}
