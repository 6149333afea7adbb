/**
 * Foreign objects: those that came here for other hosts, and that no reader of this one has used since. They are at
 * most a share of the capacity, and go first at an eviction.
 *
 * A read for another host sets the last use to the tick before now. Any use by this host changes it, natively answered
 * ones too, and the object is an ordinary one from then on. Objects with a read or a fetch under way are never chosen:
 * their bytes would go between their landing and the answer.
 */
import { blocksPerObject } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import { foreignLookMs } from './limits.ts'

/** An object that an eviction may take. */
interface ForeignCandidate {
  readonly stored: StoredImage
  readonly object: number
  readonly lastUse: number
  readonly bytes: number
}

export class ForeignObjects {
  /** The last use that a read for another host set, by image and object. */
  readonly #lastUses = new Map<string, Map<number, number>>()
  /** Reads under way, by image and object. */
  readonly #reads = new Map<string, number>()
  readonly #now: () => number
  #shareMax: number
  #size = 0
  /** The time from which the bytes may be added up again: that is a walk over all of them. */
  #lookedMs = Number.NEGATIVE_INFINITY
  #bytes = 0

  /** @param shareMax of the capacity. @param now milliseconds, never going back */
  constructor(shareMax: number, now: () => number) {
    this.#shareMax = shareMax
    this.#now = now
  }

  /** Bytes that only other hosts read, when they were last added up. */
  get bytes(): number {
    return this.#bytes
  }

  /** Objects that may be brought for other hosts. */
  get mayBring(): boolean {
    return this.#shareMax > 0
  }

  resize(shareMax: number): void {
    this.#shareMax = shareMax
    this.#lookedMs = Number.NEGATIVE_INFINITY
  }

  /** A read for another host begins. @param tick of now */
  touch(stored: StoredImage, object: number, tick: number): void {
    const known = this.#lastUses.get(stored.imageId)?.get(object)
    const isNew = known === undefined && stored.held(object) === 0n && stored.claims.claimed(object) === 0n
    const isUsedHere = known !== undefined && stored.residency.lastUse(object) !== known
    if (isUsedHere) this.#delete(stored.imageId, object)
    if (isUsedHere || (known === undefined && !isNew)) return
    const before = Math.max(0, tick - 1)
    stored.touchAt(object, before)
    this.#set(stored.imageId, object, before)
  }

  /** Is it one, as far as was looked? */
  has(imageId: string, object: number): boolean {
    return this.#lastUses.get(imageId)?.has(object) === true
  }

  /** Do `work` while none of `objects` is chosen. */
  async reading<T>(stored: Pick<StoredImage, 'imageId'>, objects: readonly number[], work: () => Promise<T>) {
    const keys = objects.map(object => `${stored.imageId} ${object}`)
    for (const key of keys) this.#reads.set(key, (this.#reads.get(key) ?? 0) + 1)
    try {
      return await work()
    } finally {
      for (const key of keys) {
        const left = (this.#reads.get(key) ?? 1) - 1
        if (left === 0) this.#reads.delete(key)
        else this.#reads.set(key, left)
      }
    }
  }

  /** Bytes over the share. They are added up when there may be too many, and at most once in a while. */
  excessBytes(store: Pick<Store, 'capacity' | 'find' | 'blockBytes'>): number {
    const bytesMax = store.capacity.capacityBytes * this.#shareMax
    if (this.#size * store.blockBytes * blocksPerObject <= bytesMax) return 0
    if (this.#now() - this.#lookedMs >= foreignLookMs) {
      this.#lookedMs = this.#now()
      this.#bytes = this.candidates(store, new Set(), true).reduce((sum, { bytes }) => sum + bytes, 0)
    }
    return Math.max(0, this.#bytes - bytesMax)
  }

  /** Some were evicted: the bytes are added up again at the next question. */
  evicted(): void {
    this.#lookedMs = Number.NEGATIVE_INFINITY
  }

  /**
   * All that may go, but for the images of `kept`; what is foreign no more is forgotten.
   * @param inBytes how much each frees; else each is one
   */
  candidates(store: Pick<Store, 'find'>, kept: ReadonlySet<string>, inBytes: boolean): ForeignCandidate[] {
    const found: ForeignCandidate[] = []
    for (const [imageId, objects] of this.#lastUses) {
      const stored = store.find(imageId)
      for (const [object, lastUse] of objects) {
        const isOnItsWay = stored !== null && (stored.claims.claimed(object) !== 0n || this.#isRead(imageId, object))
        if (isOnItsWay) continue
        if (!stored || stored.held(object) === 0n || stored.residency.lastUse(object) !== lastUse) {
          this.#delete(imageId, object)
          continue
        }
        const bytes = inBytes ? stored.allocatedBytes(object) : 1
        if (bytes > 0 && !kept.has(imageId)) found.push({ stored, object, lastUse, bytes })
      }
    }
    return found
  }

  #isRead(imageId: string, object: number): boolean {
    return this.#reads.has(`${imageId} ${object}`)
  }

  #set(imageId: string, object: number, lastUse: number): void {
    let objects = this.#lastUses.get(imageId)
    if (!objects) {
      objects = new Map()
      this.#lastUses.set(imageId, objects)
    }
    if (!objects.has(object)) this.#size++
    objects.set(object, lastUse)
  }

  #delete(imageId: string, object: number): void {
    const objects = this.#lastUses.get(imageId)
    if (!objects?.delete(object)) return
    this.#size--
    if (objects.size === 0) this.#lastUses.delete(imageId)
  }
}
