/**
 * Evictor: starts over the high watermark, stops under the low one, one pass at a time. Two passes at once would each
 * see the same excess and evict twice the amount.
 *
 * Blocks of superseded versions go first: no name leads to them any more.
 *
 * Two things can be over: the bytes of the cache directory, and the records of the index, which scattered or all-zero
 * blocks fill without taking much else. No pass takes anything of pinned images, as long as they are within their
 * share.
 */

import { SharedRun } from '../../async/shared-run.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { EvictionCandidate } from '../../store/evict-objects.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import { AdaptivePolicy, type KnownObject } from './adaptive-policy.ts'
import { type EvictionPolicy, type EvictionPolicyName, evictionPolicyDefault, LruPolicy } from './eviction-policy.ts'
import type { ForeignObjects } from './foreign-objects.ts'
import type { HitSetTable } from './hit-set-table.ts'
import {
  evictionRetryMsMax,
  evictionRetryMsMin,
  evictRoundsMax,
  indexHighShare,
  indexLowShare,
  objectsHighShare,
  objectsLowShare,
  pinnedShareMax,
  tickMs,
  youngPauseMs,
} from './limits.ts'
import { dataBytes } from './pins.ts'
import { TemperaturePolicy } from './temperature-policy.ts'

export interface EvictionCounters {
  readonly objects: number
  readonly bytes: number
}

/** The progress of evicting one image. */
export interface EvictionProgress {
  readonly name: string
  readonly phase: 'evicting'
  readonly doneBytes: number
  readonly totalBytes: number
}

/** The outcome for one image. */
export interface EvictedImage {
  readonly name: string
  readonly objects: number
  readonly bytes: number
  readonly leftBytes: number
  /** The reason of what is left: the kernel reads the file by itself, or it was read or promoted all the time. */
  readonly leftBy: 'passthrough' | 'use' | null
}

/** Says which images stay. */
export interface KeptImages {
  /** Ids, by what keeping an image costs, up to `costMax` in all. */
  kept(cost: (stored: StoredImage) => number, costMax: number): ReadonlySet<string>
}

type Candidate = EvictionCandidate & KnownObject

/** Versions whose objects go before all others. */
export type Unwanted = () => readonly StoredImage[]

/** Objects chosen together when one image is evicted: as many as the store takes in one transaction. */
const batchObjects = 64
/** Objects of a pass that are evicted together. */
const pieceObjects = 1024

/** The task of a pass: free `amount` in units of which each object frees some. */
interface Excess {
  readonly amount: number
  readonly unit: 'bytes' | 'records' | 'objects'
  /** Units that pinned images may keep. */
  readonly pinnedMax: number
  /** Only what other hosts read is over its share. */
  readonly isForeign: boolean
}

/** Settings of the eviction. */
export interface EvictionOptions {
  readonly evictionPolicy?: EvictionPolicyName
  /** Objects that are held at most; 0: no limit. */
  readonly objectsMax?: number
  /** An object that was used more recently stays. Time counts while the daemon runs. */
  readonly evictAgeMsMin?: number
}

export interface EvictorContext extends EvictionOptions {
  readonly store: Store
  readonly logger: Logger
  readonly pins: KeptImages
  readonly unwanted: Unwanted
  /** Objects that only other hosts read; none when absent. */
  readonly foreign?: ForeignObjects
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly hitSets?: Pick<HitSetTable, 'isWarm' | 'going'>
}

export class Evictor {
  readonly #store: Store
  readonly #unwanted: Unwanted
  readonly #foreign: ForeignObjects | null
  /** Milliseconds, never going back. */
  readonly #now: () => number
  /** The operator's choice; it sees all images at each choice, or none. */
  #policy: EvictionPolicy<Candidate>
  readonly #hitSets: Pick<HitSetTable, 'isWarm' | 'going'> | null
  #objectsMax: number
  #evictAgeMsMin: number
  readonly #recency = new LruPolicy<Candidate>()
  readonly #logger: Logger
  readonly #pins: KeptImages
  readonly #passes = new SharedRun()
  #stopped = false
  /** The last pass found that everything is too young. */
  #isHeldByAge = false
  #objects = 0
  #bytes = 0
  /** Passes that failed in a row, the pause after the last one, and when it ends. */
  #failures = 0
  #pauseMs = 0
  #notBeforeMs = Number.NEGATIVE_INFINITY

  constructor(context: EvictorContext) {
    const { store, pins, unwanted, foreign = null, now, hitSets = null, logger } = context
    this.#store = store
    this.#pins = pins
    this.#unwanted = unwanted
    this.#foreign = foreign
    this.#now = now
    this.#hitSets = hitSets
    this.#policy = this.#policyNamed(context.evictionPolicy ?? evictionPolicyDefault)
    this.#objectsMax = context.objectsMax ?? 0
    this.#evictAgeMsMin = context.evictAgeMsMin ?? 0
    this.#logger = logger
  }

  get policyName(): EvictionPolicyName {
    return this.#policy.name as EvictionPolicyName
  }

  /** Is there no room, and everything that could go younger than it has to be? Then nothing should come. */
  get isHeldByAge(): boolean {
    return this.#isHeldByAge
  }

  /** Other settings from now on; another policy begins without a memory. */
  reconfigure({ evictionPolicy = evictionPolicyDefault, objectsMax = 0, evictAgeMsMin = 0 }: EvictionOptions): void {
    if (evictionPolicy !== this.#policy.name) this.#policy = this.#policyNamed(evictionPolicy)
    this.#objectsMax = objectsMax
    this.#evictAgeMsMin = evictAgeMsMin
    this.#setHeldByAge(false)
  }

  #policyNamed(name: EvictionPolicyName): EvictionPolicy<Candidate> {
    if (name === 'lru') return this.#recency
    return name === 'adaptive'
      ? new AdaptivePolicy()
      : new TemperaturePolicy(candidate => this.#hitSets?.isWarm(candidate) ?? true)
  }

  get counters(): EvictionCounters {
    return { objects: this.#objects, bytes: this.#bytes }
  }

  /**
   * Start a pass if a watermark calls for one and none is running; after a failed one, not before a pause. Resolves
   * when nothing is over, or nothing helps; never rejects.
   */
  check(): Promise<void> {
    if (this.#now() < this.#notBeforeMs) return this.#passes.current ?? Promise.resolve()
    return this.checkNow()
  }

  /** The same without the pause: a caller waits for the room, or the cause of the failure may have gone. */
  checkNow(): Promise<void> {
    const { current } = this.#passes
    if (current || this.#stopped) return current ?? Promise.resolve()
    if (!this.#excess()) {
      if (this.#isHeldByAge) this.#setHeldByAge(false)
      return Promise.resolve()
    }
    return this.#passes.run(() =>
      this.#pass().then(
        () => this.#succeeded(),
        error => this.#failed(error),
      ),
    )
  }

  /**
   * Evict all that is held of one image, however recently it was used; waits for the pass under way.
   * @throws CacheError aborted, closed, index-failed; SystemError when a punch fails
   */
  async evictImage(
    name: string,
    stored: StoredImage,
    {
      signal,
      onProgress,
    }: { readonly signal: CancelSignal; readonly onProgress: (progress: EvictionProgress) => void },
  ): Promise<EvictedImage> {
    while (this.#passes.current) await this.#passes.current
    throwIfAborted(signal)
    const evicted = this.#evictAll(stored, signal, (doneBytes, totalBytes) =>
      onProgress({ name, phase: 'evicting', doneBytes, totalBytes }),
    )
    // The caller sees its error.
    void this.#passes.run(() => evicted.then(() => {}).catch(() => {}))
    return { name, ...(await evicted) }
  }

  /** No pass starts any more; resolves when the one that runs has ended. */
  async close(): Promise<void> {
    this.#stopped = true
    await this.#passes.current
  }

  /** One line when evictions begin to fail, and one when they work again. */
  #failed(error: unknown): void {
    if (this.#pauseMs === 0) {
      this.#logger.error({ err: error }, 'an eviction failed; it is tried again, at longer and longer pauses')
    }
    this.#failures++
    this.#pauseMs = Math.min(Math.max(evictionRetryMsMin, 2 * this.#pauseMs), evictionRetryMsMax)
    this.#notBeforeMs = this.#now() + this.#pauseMs
  }

  #succeeded(): void {
    if (this.#pauseMs > 0) this.#logger.info({ failures: this.#failures }, 'evictions work again')
    this.#pauseMs = 0
    this.#failures = 0
    this.#notBeforeMs = this.#isHeldByAge ? this.#now() + youngPauseMs : Number.NEGATIVE_INFINITY
  }

  /** One line when nothing may go, and one when something may again. */
  #setHeldByAge(isHeld: boolean): void {
    if (isHeld === this.#isHeldByAge) return
    this.#isHeldByAge = isHeld
    this.#notBeforeMs = Number.NEGATIVE_INFINITY
    if (isHeld) this.#logger.warn({}, 'all that could be evicted is younger than minEvictAge; nothing is promoted')
    else this.#logger.info({}, 'there is room, or something to evict, again')
  }

  async #pass(): Promise<void> {
    // Objects that a hit keeps from eviction are chosen again, colder ones first; a pass that frees nothing ends.
    for (let excess = this.#excess(); excess && !this.#stopped; excess = this.#excess()) {
      const { amount, unit, pinnedMax, isForeign } = excess
      const kept = this.#kept(unit === 'bytes' ? dataBytes : recordsOf, pinnedMax)
      const choose = (policy: EvictionPolicy<Candidate>, images: Iterable<StoredImage>, usedBefore: number) =>
        policy.choose(() => this.#candidates(images, unit, kept, usedBefore), amount)
      const unwanted = await choose(this.#recency, this.#unwanted(), Number.POSITIVE_INFINITY)
      const all = () => choose(this.#policy, [...this.#store.images()], this.#usedBefore())
      const foreign = () => this.#foreign?.candidates(this.#store, kept, unit === 'bytes') ?? []
      const ofOthers = unwanted.length > 0 ? [] : await this.#recency.choose(foreign, amount)
      const first = unwanted.length > 0 ? unwanted : ofOthers
      const chosen = first.length > 0 || isForeign ? first : await all()
      this.#hitSets?.going(chosen)
      this.#setHeldByAge(chosen.length === 0 && !isForeign && this.#evictAgeMsMin > 0)
      const objects = await this.#evictChosen(chosen)
      this.#foreign?.evicted()
      this.#store.measure()
      if (objects === 0) return
    }
  }

  /** In pieces: a stop waits for one of them, and the counters show how far it is. @returns how many were evicted */
  async #evictChosen(chosen: readonly Candidate[]): Promise<number> {
    let evicted = 0
    for (let at = 0; at < chosen.length && !this.#stopped; at += pieceObjects) {
      const { objects, bytes } = await this.#store.evict(chosen.slice(at, at + pieceObjects))
      evicted += objects
      this.#objects += objects
      this.#bytes += bytes
    }
    return evicted
  }

  /** Files that the kernel reads by itself must stay; then as much of the pinned images as there is room for. */
  #kept(cost: (stored: StoredImage) => number, costMax: number): ReadonlySet<string> {
    const read = [...this.#store.images()].filter(stored => stored.kernelRefs.exist)
    const left = read.reduce((rest, stored) => rest - cost(stored), costMax)
    return new Set([...read.map(({ imageId }) => imageId), ...this.#pins.kept(cost, Math.max(0, left))])
  }

  async #evictAll(stored: StoredImage, signal: CancelSignal, onProgress: (done: number, total: number) => void) {
    const totalBytes = stored.heldBytes
    const total = { objects: 0, bytes: 0 }
    for (let round = 0; round < evictRoundsMax && stored.heldBytes > 0; round++) {
      const objects = [...stored.heldObjects()]
      for (let at = 0; at < objects.length; at += batchObjects) {
        throwIfAborted(signal)
        if (this.#stopped) throw new CacheError('closed', 'the daemon stops; the rest is still held')
        const chosen = objects.slice(at, at + batchObjects).map(object => ({ stored, object, lastUse: null }))
        const { objects: evicted, bytes } = await this.#store.evict(chosen)
        total.objects += evicted
        total.bytes += bytes
        this.#objects += evicted
        this.#bytes += bytes
        onProgress(Math.max(0, totalBytes - stored.heldBytes), totalBytes)
      }
    }
    this.#store.measure()
    const { heldBytes: leftBytes, kernelRefs } = stored
    const leftBy: EvictedImage['leftBy'] = kernelRefs.exist ? 'passthrough' : 'use'
    return { ...total, leftBytes, leftBy: leftBytes > 0 ? leftBy : null }
  }

  /** The first tick of uses that are too young. */
  #usedBefore(): number {
    if (this.#evictAgeMsMin === 0) return Number.POSITIVE_INFINITY
    return this.#store.tick + 1 - Math.ceil(this.#evictAgeMsMin / tickMs)
  }

  #excess(): Excess | null {
    const { capacity, indexShare } = this.#store
    const { capacityBytes, excessBytes } = capacity
    const pinnedMax = capacityBytes * pinnedShareMax
    if (excessBytes > 0) return { amount: excessBytes, unit: 'bytes', pinnedMax, isForeign: false }
    if (this.#objectsMax > 0) {
      const { objects } = this.#store
      const amount = objects - Math.floor(this.#objectsMax * objectsLowShare)
      const isOver = objects > this.#objectsMax * objectsHighShare
      if (isOver) return { amount, unit: 'objects', pinnedMax: this.#objectsMax * pinnedShareMax, isForeign: false }
    }
    if (indexShare <= indexHighShare) {
      const amount = this.#foreign?.excessBytes(this.#store) ?? 0
      return amount > 0 ? { amount, unit: 'bytes', pinnedMax, isForeign: true } : null
    }
    const records = this.#store.objects
    const amount = Math.ceil(records * (1 - indexLowShare / indexShare))
    return { amount, unit: 'records', pinnedMax: (records / indexShare) * pinnedShareMax, isForeign: false }
  }

  /** @param usedBefore the tick before which they were used last */
  *#candidates(
    images: Iterable<StoredImage>,
    unit: Excess['unit'],
    kept: ReadonlySet<string>,
    usedBefore: number,
  ): Generator<Candidate> {
    for (const stored of images) {
      if (kept.has(stored.imageId)) continue
      for (const object of stored.heldObjects()) {
        const bytes = unit === 'bytes' ? stored.allocatedBytes(object) : 1
        const lastUse = stored.residency.lastUse(object)
        if (bytes > 0 && lastUse < usedBefore) yield { stored, object, lastUse, bytes }
      }
    }
  }
}

function recordsOf(stored: StoredImage): number {
  return stored.objects
}
