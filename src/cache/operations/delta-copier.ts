/**
 * Delta copier: after an upgrade of a name, brings the blocks of its new version that the older one has into the
 * store, in the order of the last boot's profile and then from the front. No block of the image is fetched.
 *
 * First come blocks below equal blocks of both hash trees. Blocks of the new tree that differ are fetched once no
 * reader has missed for a while. The older version stays until all is here that it has, even of blocks that changed in
 * part: those are left to readers. Readers come first: one piece at a time, none while any waits for an origin.
 */
import { pause } from '../../async/pause.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import { SharedRun } from '../../async/shared-run.ts'
import { isCacheError, messageOf } from '../../base/errors.ts'
import { type Image, runsOf } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { Delta } from '../../origin/sealed/version-delta.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { MountedOrigin } from '../fetch/origin-table.ts'
import { piecesOf } from '../integrity/scrubber.ts'
import type { Catalog } from '../names/catalog.ts'
import type { MissReader } from '../read/miss-reader.ts'
import {
  copiedVersionsMax,
  deltaLookMs,
  deltaMsMax,
  deltaQuietMs,
  promotePauseMs,
  promotePieceBytesMax,
} from './limits.ts'

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

/** Blocks of one object. */
interface Piece {
  readonly object: number
  readonly blocks: bigint
}

/** An older version from which a newer one takes blocks. */
interface Upgrade {
  readonly sinceMs: number
  /** The misses of the new version, and the time at which they were seen to grow. */
  misses: number
  missedMs: number
  /** Has everything been taken whose comparison was here? */
  isLocalDone: boolean
  /** Pieces from the front that were taken with the comparison fetched. */
  piecesDone: number
  /** Has everything been taken that needs no block of the image? */
  isDone: boolean
  /** Are there blocks of which the older version has a part? */
  hasParts: boolean
}

export class DeltaCopier {
  readonly #parts: DeltaCopierContext
  readonly #stop = new AbortController()
  readonly #looks = new PeriodicTask(deltaLookMs, () => this.check())
  readonly #runs = new SharedRun()
  /** Older versions from which everything was taken, or nothing can be. */
  readonly #done = new LruMap<string, true>(copiedVersionsMax)
  /** By the older version. */
  readonly #upgrades = new LruMap<string, Upgrade>(copiedVersionsMax)
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
    return this.#parts.now() - this.#upgradeOf(imageId).sinceMs < deltaMsMax
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
      if (!current || current.id === older.id || this.#done.has(older.id)) continue
      if (!this.isSource(older.id)) {
        // Its time is over, or nothing of it is held any more.
        if (this.#upgrades.has(older.id)) this.#end(older, current)
        continue
      }
      try {
        if (!isKept(current) || (await this.#copy(current, this.#upgradeOf(older.id)))) this.#end(older, current)
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
    this.#upgrades.delete(older.id)
    this.#sealsOf(current)?.endDelta(current)
  }

  #upgradeOf(imageId: string): Upgrade {
    const known = this.#upgrades.get(imageId)
    if (known) return known
    const nowMs = this.#parts.now()
    const marks = { isLocalDone: false, piecesDone: 0, isDone: false, hasParts: false }
    const made: Upgrade = { sinceMs: nowMs, misses: 0, missedMs: nowMs, ...marks }
    this.#upgrades.set(imageId, made)
    return made
  }

  /** @returns true when nothing more is to be taken */
  async #copy(current: Image, upgrade: Upgrade): Promise<boolean> {
    const { store, logger } = this.#parts
    const seal = await this.#sealsOf(current)?.prepare(current, this.#stop)
    const stored = seal?.delta ? await store.use(current) : null
    if (!seal?.delta || !stored || stored.complete) return true
    if (upgrade.isDone) return false
    const before = this.#copiedBytes
    if (!upgrade.isLocalDone) await this.#takeLocal(stored, seal.delta, upgrade)
    else if (this.#isQuiet(current, upgrade)) await this.#takeRest(stored, seal.delta, upgrade)
    const bytes = this.#copiedBytes - before
    if (bytes > 0) logger.info({ image: current.key, bytes }, 'blocks that an older version has were taken over')
    return upgrade.isDone && !upgrade.hasParts
  }

  async #takeLocal(stored: StoredImage, delta: Delta, upgrade: Upgrade): Promise<void> {
    for (const piece of [...this.#profiled(stored), ...this.#all(stored)]) {
      if (!(await this.#mayGoOn())) return
      const range = missingRange(stored, piece)
      if (range && (await delta.isKnown(...range, this.#stop))) await this.#take(stored, delta, piece)
    }
    upgrade.isLocalDone = true
  }

  /** With the comparison from the origin. A reader that misses ends it, and the next look goes on. */
  async #takeRest(stored: StoredImage, delta: Delta, upgrade: Upgrade): Promise<void> {
    const take = async (piece: Piece) => {
      const range = missingRange(stored, piece)
      if (!range) return true
      if (!(await this.#mayGoOn()) || !this.#isQuiet(stored.image, upgrade)) return false
      await delta.load(...range, this.#stop)
      if (await this.#take(stored, delta, piece)) upgrade.hasParts = true
      return true
    }
    for (const piece of this.#profiled(stored)) if (!(await take(piece))) return
    let pieces = 0
    for (const piece of this.#all(stored)) {
      if (pieces++ < upgrade.piecesDone) continue
      if (!(await take(piece))) return
      upgrade.piecesDone = pieces
    }
    upgrade.isDone = true
  }

  /** Readers that wait for an origin come first. @returns false when it is closed */
  async #mayGoOn(): Promise<boolean> {
    const { signal } = this.#stop
    while (this.#parts.reader.waiting > 0 && !signal.aborted) await pause(promotePauseMs, signal)
    return !signal.aborted
  }

  /** Has no reader of the new version missed for a while? */
  #isQuiet(current: Image, upgrade: Upgrade): boolean {
    const { misses } = this.#parts.reader.counters.of(current)
    const nowMs = this.#parts.now()
    if (misses !== upgrade.misses) upgrade.missedMs = nowMs
    upgrade.misses = misses
    return nowMs - upgrade.missedMs >= deltaQuietMs
  }

  /** Take those of the blocks that need no fetch. @returns true when the older version has a part of others */
  async #take(stored: StoredImage, delta: Delta, { object, blocks: wanted }: Piece): Promise<boolean> {
    const { geometry } = stored
    let [blocks, bytes, hasParts] = [0n, 0, false]
    for (let k = 0; k < 64; k++) {
      const bit = 1n << BigInt(k)
      if ((wanted & ~stored.held(object) & bit) === 0n) continue
      const { offset, length } = geometry.bytesOf(object, { first: k, count: 1 })
      const runs = await delta.runsOf(offset, length, this.#stop)
      const taken = runs.filter(({ source }) => source !== null)
      if (taken.length > 0 && taken.length < runs.length) hasParts = true
      if (taken.length < runs.length) continue
      blocks |= bit
      bytes += length
    }
    if (blocks === 0n || !this.#parts.store.capacity.fits(bytes)) return hasParts
    await this.#parts.reader.fill(stored, object, blocks, this.#stop.signal)
    this.#copiedBytes += bytes
    return hasParts
  }

  /** The blocks that a boot reads. */
  *#profiled({ geometry, image }: StoredImage): Generator<Piece> {
    const profile = this.#parts.index.profile(image.origin, image.key)
    for (const [first, count] of profile?.runs ?? []) {
      const offset = first * profile!.blockBytes
      const length = Math.min(count * profile!.blockBytes, image.sizeBytes - offset)
      if (length > 0) yield* geometry.parts(offset, length)
    }
  }

  /** From the front. */
  *#all({ geometry }: StoredImage): Generator<Piece> {
    for (let object = 0; object < geometry.objects; object++) {
      for (const blocks of piecesOf(geometry.blocksOf(object), geometry.blockBytes, promotePieceBytesMax)) {
        yield { object, blocks }
      }
    }
  }
}

/** The range of the blocks that are not held: offset and length; null where all are. */
function missingRange(stored: StoredImage, { object, blocks }: Piece): readonly [number, number] | null {
  const missing = blocks & ~stored.held(object)
  if (missing === 0n) return null
  const runs = runsOf(missing)
  const [{ first }, last] = [runs[0]!, runs.at(-1)!]
  const { offset, length } = stored.geometry.bytesOf(object, { first, count: last.first + last.count - first })
  return [offset, length]
}
