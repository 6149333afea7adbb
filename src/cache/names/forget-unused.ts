/**
 * Forgets unused images over the limit of known ones: the longest unused go, a few hundred at a time, with their names.
 * A later lookup finds one as new. Every user may look up names, and an origin may take many names for the same image.
 *
 * An image in need stays: one with held blocks, one that is open, read, pinned or quarantined, or that the kernel
 * knows. The kernel is asked to forget images that it knows for a name in its cache only. Superseded versions belong to
 * version-gc.ts.
 *
 * So many are examined, and forgotten, in one iteration of the event loop; requests have theirs in between.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { abortable } from '../../async/abortable.ts'
import { pause } from '../../async/pause.ts'
import { SharedRun } from '../../async/shared-run.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { Store } from '../../store/store.ts'
import type { Catalog } from './catalog.ts'
import type { TrackedImage } from './known-images.ts'
import * as limits from './limits.ts'
import type { KernelKnowledge } from './version-gc.ts'

export interface UnusedImageForgetterContext {
  readonly catalog: Catalog
  readonly store: Pick<Store, 'find' | 'removeImage'>
  /** Is it open, being read, or to be kept for another reason? */
  isWanted(image: Image): boolean
  /** Forgets what else is remembered of an image. */
  forget(imageId: string): void
  /** The directory that shows it; null is the root. */
  directoryOf(image: Image): string | null
  readonly acquaintance: KernelKnowledge
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export interface UnusedImageForgetterLimits {
  /** Images that are forgotten at once, before callers that wait for room go on. */
  readonly atOnce: number
  /** Images let go in one turn of the event loop, and those looked at. */
  readonly perTurn: number
  readonly looksPerTurn: number
}

/** For metrics. */
export interface KnownImageCounters {
  /** Images that are known. */
  readonly known: number
  /** Images that were let go, and lookups that were refused because none could go. */
  readonly forgotten: number
  readonly refused: number
}

const limitsDefault: UnusedImageForgetterLimits = {
  atOnce: limits.forgottenAtOnceMax,
  perTurn: limits.forgottenPerTurnMax,
  looksPerTurn: limits.forgetLooksPerTurnMax,
}

export class UnusedImageForgetter {
  readonly #parts: UnusedImageForgetterContext
  readonly #limits: UnusedImageForgetterLimits
  readonly #stop = new AbortController()
  /** Resolves to how many went. */
  readonly #passes = new SharedRun<number>()
  /** The time from which it is tried again after none could go. */
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #forgotten = 0
  #refused = 0
  #isFailing = false

  constructor(parts: UnusedImageForgetterContext, limits: Partial<UnusedImageForgetterLimits> = {}) {
    this.#parts = parts
    this.#limits = { ...limitsDefault, ...limits }
  }

  get counters(): KnownImageCounters {
    return { known: this.#parts.catalog.size, forgotten: this.#forgotten, refused: this.#refused }
  }

  /**
   * Have at least one image go.
   * @throws CacheError too-many-images when none can, aborted
   */
  async makeRoom(signal: CancelSignal): Promise<void> {
    const mayTry = this.#passes.current !== null || this.#parts.now() >= this.#notBeforeMs
    if (mayTry && (await abortable(this.check(), signal)) > 0) return
    this.#refused++
    const { catalog } = this.#parts
    throw new CacheError('too-many-images', `${catalog.size} images are known, and all are in use: ask again later`)
  }

  /** Let some go now. @returns how many went. Never rejects. */
  check(): Promise<number> {
    return this.#passes.run(() => this.#pass())
  }

  /** Let go what is beyond the limit, which may have been another one at the last start. Never rejects. */
  async start(): Promise<void> {
    const { catalog } = this.#parts
    while (catalog.excess > 0 && !this.#stop.signal.aborted && (await this.check()) > 0);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#passes.current
  }

  async #pass(): Promise<number> {
    const { logger, now } = this.#parts
    const before = this.#forgotten
    try {
      for await (const candidates of this.#candidates()) {
        await this.#letGo(candidates)
        if (this.#forgotten > before || this.#stop.signal.aborted) break
      }
      this.#isFailing = false
    } catch (error) {
      const line = `images that nobody uses stay known for now: ${messageOf(error)}`
      if (!this.#isFailing && !this.#stop.signal.aborted) logger.warn({ err: error }, line)
      this.#isFailing = true
    }
    const went = this.#forgotten - before
    if (went === 0) this.#notBeforeMs = now() + limits.forgetRetryMs
    return went
  }

  /** Images that may go as far as is known here, the longest unused first, in parts. */
  async *#candidates(): AsyncGenerator<TrackedImage[]> {
    const { catalog } = this.#parts
    const { atOnce, looksPerTurn } = this.#limits
    let [left, looked] = [catalog.size, 0]
    let part: TrackedImage[] = []
    for (const known of catalog.byUse()) {
      if (left-- === 0) break // What was used meanwhile comes once more.
      if (this.#mayGo(known)) part.push(known)
      if (part.length === atOnce) {
        yield part
        part = []
      }
      if (++looked % looksPerTurn === 0) await nextTurn()
    }
    if (part.length > 0) yield part
  }

  async #letGo(candidates: readonly TrackedImage[]): Promise<void> {
    const { signal } = this.#stop
    let known = await this.#forgetUnknown(candidates)
    // The kernel has been asked to let these go, and does so soon, but for those that it needs itself.
    for (let look = 0; look < limits.forgetLooksMax && known.length > 0; look++) {
      await pause(limits.forgetLookMs, signal)
      known = await this.#forgetUnknown(known)
    }
    for (const { entry } of known) this.#parts.catalog.use(entry.image)
  }

  /** @returns those that the kernel knows */
  async #forgetUnknown(candidates: readonly TrackedImage[]): Promise<TrackedImage[]> {
    const { acquaintance, directoryOf } = this.#parts
    const known: TrackedImage[] = []
    for (let at = 0; at < candidates.length && !this.#stop.signal.aborted; at += this.#limits.perTurn) {
      const part = candidates.slice(at, at + this.#limits.perTurn)
      const answers = part.map(({ entry: { image, nodeId } }) =>
        acquaintance.knows(nodeId, { directory: directoryOf(image), name: image.key }),
      )
      const areKnown = await abortable(Promise.all(answers), this.#stop.signal)
      await nextTurn()
      const going: Promise<void>[] = []
      for (const [k, each] of part.entries()) {
        if (areKnown[k]) known.push(each)
        else if (this.#mayGo(each)) going.push(this.#forget(each))
      }
      const failed = (await Promise.allSettled(going)).find(result => result.status === 'rejected')
      if (failed) throw failed.reason
    }
    return known
  }

  #mayGo(known: TrackedImage): boolean {
    const { catalog, store, isWanted } = this.#parts
    const { image } = known.entry
    return catalog.mayLetGo(known) && (store.find(image.id)?.heldBytes ?? 0) === 0 && !isWanted(image)
  }

  /** Begun in the iteration in which it is seen that it may go: later lookups find an image that is not known. */
  async #forget({ entry }: TrackedImage): Promise<void> {
    const { catalog, store, forget } = this.#parts
    const { recorded, undo } = catalog.letGo(entry)
    const [unnamed, retired] = await Promise.allSettled([recorded, store.removeImage(entry.image.id)])
    if (retired.status === 'fulfilled' && retired.value) {
      forget(entry.image.id)
      this.#forgotten++
    } else undo()
    for (const result of [retired, unnamed]) if (result.status === 'rejected') throw result.reason
  }
}
