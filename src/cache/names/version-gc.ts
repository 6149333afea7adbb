/**
 * Collects superseded versions: their blocks go first when eviction chooses, and after a while without that. An empty
 * one is retired with its record, data file and descriptor.
 *
 * A version that is open or being read, or that the kernel knows, stays as it is. The kernel tells whether it knows a
 * node; it learns of one only by a lookup of a name, and a version without a name cannot be looked up. A version that
 * gets its name back is found by that lookup, in the iteration in which it would go, or as one that is not known.
 */

import { abortable } from '../../async/abortable.ts'
import { pause } from '../../async/pause.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import { SharedRun } from '../../async/shared-run.ts'
import { messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import type { Catalog } from './catalog.ts'
import { retireLookMs, retireMsMin, retireRevalidations, supersededVersionsMax } from './limits.ts'

export interface SupersededName {
  /** Null is the root. */
  readonly directory: string | null
  readonly name: string
}

/** Another holder of images: the kernel. */
export interface KernelKnowledge {
  /**
   * @param lost its name, where that means nothing now: the kernel is asked to forget it if it keeps it for its name
   * only
   */
  knows(nodeId: bigint, lost: SupersededName | null): Promise<boolean>
}

export interface VersionCollectorContext {
  readonly catalog: Catalog
  readonly store: Store
  /** Is it open, or being read? */
  isInUse(imageId: string): boolean
  /** Forgets what else is remembered of an image. */
  forget(imageId: string): void
  readonly logger: Logger
  readonly acquaintance: KernelKnowledge
  /** The directory that shows it; null is the root. */
  directoryOf(image: Image): string | null
  /** The time for which the origin's answer about the image's name counts as fresh. */
  freshMs(image: Image): number
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export interface VersionCollectorLimits {
  /** The time for which a version must have been unwanted. */
  readonly graceMs: number
  /** Of more than these the oldest go at once. */
  readonly versionsMax: number
}

/** For status. */
export interface VersionGcCounters {
  /** Versions without a name that are still here. */
  readonly superseded: number
  /** Versions retired since the start, and those of them that went early because there were too many. */
  readonly retired: number
  readonly forced: number
}

/** Objects evicted at once: readers have their turn in between. */
const batchObjects = 64

export class VersionCollector {
  readonly #parts: VersionCollectorContext
  readonly #limits: Partial<VersionCollectorLimits>
  readonly #stop = new AbortController()
  /** The time since which each version has been unwanted, in this order. */
  readonly #unwanted = new Map<string, { readonly image: Image; readonly sinceMs: number }>()
  readonly #checks = new PeriodicTask(retireLookMs, () => this.check())
  readonly #passes = new SharedRun()
  #retired = 0
  #early = 0
  #isFailing = false

  constructor(parts: VersionCollectorContext, limits: Partial<VersionCollectorLimits> = {}) {
    this.#parts = parts
    this.#limits = limits
  }

  get counters(): VersionGcCounters {
    return { superseded: this.#parts.catalog.superseded().length, retired: this.#retired, forced: this.#early }
  }

  /** Look every now and then, until {@link close}. */
  start(): void {
    this.#checks.start()
  }

  /** Versions that were unwanted at the last look, and are not in use now. */
  unwanted(): StoredImage[] {
    return [...this.#unwanted.keys()].flatMap(id => {
      const stored = this.#isUnwanted(id) ? this.#parts.store.find(id) : null
      return stored ? [stored] : []
    })
  }

  /** Look now; resolves when what is to go has gone, or cannot. Never rejects. */
  check(): Promise<void> {
    return this.#passes.run(() => this.#pass())
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#checks.stop()
    this.#stop.abort()
    await this.#passes.current
  }

  async #pass(): Promise<void> {
    const { catalog, logger, now } = this.#parts
    const { signal } = this.#stop
    try {
      await catalog.catchUp(signal)
      await this.#look()
      const unwanted = [...this.#unwanted.values()]
      const tooMany = unwanted.length - (this.#limits.versionsMax ?? supersededVersionsMax)
      for (const [k, { image, sinceMs }] of unwanted.entries()) {
        const isEarly = k < tooMany
        if (!isEarly && now() - sinceMs < this.#graceMs(image)) continue
        if (signal.aborted || !this.#parts.store.health.mayWrite) return
        if (await this.#retire(image.id)) this.#early += isEarly ? 1 : 0
      }
      this.#isFailing = false
    } catch (error) {
      if (signal.aborted) return
      // The health has its own line of what a disk does; here is one that says what is left undone.
      const line = `versions without a name stay for now: ${messageOf(error)}`
      if (!this.#isFailing) logger.warn({ err: error }, line)
      this.#isFailing = true
    }
  }

  #graceMs(image: Image): number {
    return this.#limits.graceMs ?? Math.max(retireMsMin, this.#parts.freshMs(image) * retireRevalidations)
  }

  /** Bring the list of unwanted versions up to date. */
  async #look(): Promise<void> {
    const { catalog, acquaintance, directoryOf, now } = this.#parts
    for (const id of this.#unwanted.keys()) if (!catalog.isSuperseded(id)) this.#unwanted.delete(id)
    for (const entry of catalog.superseded()) {
      const { id } = entry.image
      const { key: name } = entry.image
      const lost = catalog.hasLostName(entry) ? { directory: directoryOf(entry.image), name } : null
      const known = acquaintance.knows(entry.nodeId, lost)
      // A kernel that keeps the answer back must not keep us from stopping.
      const isKnown = await abortable(known, this.#stop.signal)
      if (isKnown || !this.#isUnwanted(id)) this.#unwanted.delete(id)
      else if (!this.#unwanted.has(id)) this.#unwanted.set(id, { image: entry.image, sinceMs: now() })
    }
  }

  #isUnwanted(imageId: string): boolean {
    return this.#parts.catalog.isSuperseded(imageId) && !this.#parts.isInUse(imageId)
  }

  /** Evict what is held of it, then let it go. @returns whether it went */
  async #retire(imageId: string): Promise<boolean> {
    const { catalog, store, forget, logger } = this.#parts
    const stored = store.find(imageId)
    if (stored && !(await this.#empty(stored))) return false
    const entry = catalog.superseded().find(({ image }) => image.id === imageId)
    if (!entry || !this.#isUnwanted(imageId) || this.#stop.signal.aborted) return false
    // Asked and forgotten in one iteration: later lookups find a version that is not known.
    const retirement = store.removeImage(imageId)
    catalog.forget(entry)
    try {
      if (!(await retirement)) {
        catalog.reinstate(entry)
        return false
      }
    } catch (error) {
      catalog.reinstate(entry)
      throw error
    }
    this.#unwanted.delete(imageId)
    forget(imageId)
    this.#retired++
    logger.debug({ image: entry.image.key, validator: entry.image.validator }, 'a version without a name is retired')
    return true
  }

  /** @returns whether nothing is held any more; false when it is wanted again */
  async #empty(stored: StoredImage): Promise<boolean> {
    const { store } = this.#parts
    const { signal } = this.#stop
    const batch: { stored: StoredImage; object: number; lastUse: number }[] = []
    for (const object of stored.heldObjects()) {
      batch.push({ stored, object, lastUse: stored.residency.lastUse(object) })
      if (batch.length < batchObjects) continue
      if (signal.aborted || !this.#isUnwanted(stored.imageId)) return false
      const startedMs = performance.now()
      await store.evict(batch.splice(0))
      // As long a pause as the work took: half of what the disk can do is left to others.
      await pause(performance.now() - startedMs, signal)
    }
    if (signal.aborted || !this.#isUnwanted(stored.imageId)) return false
    await store.evict(batch)
    return stored.heldBytes === 0
  }
}
