/**
 * Learned boot profiles: the reads of an image after a cold open are recorded in the index, and prefetched the next
 * time, also for a new version of the same name. A profile that predicts badly is dropped.
 */

import { messageOf } from '../../base/errors.ts'
import { blocksPerObject, type Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { profileBytesMax, profileColdBytesMax, profileMs, profileUsedShareMin } from '../fetch/limits.ts'
import { BootProfile } from './boot-profile.ts'
import type { Span } from './stream-detector.ts'

export interface BootProfilesContext {
  readonly index: Pick<IndexDatabase, 'profile' | 'putProfile' | 'removeProfile'>
  readonly logger: Logger
  /** See Store.recordWithin. */
  recordWithin(bytes: number, write: () => Promise<void>): Promise<boolean>
  /** The tick of now, for `lastUse`. */
  tick(): number
  /** Bytes of a profile that may be fetched. */
  bytesMax(): number
  /** Fetch ahead, nearest first. */
  fetch(stored: StoredImage, profile: BootProfile, bytesMax: number): void
}

export interface BootProfileCounters {
  /** Images of which it is noted now what is read. */
  readonly recording: number
  readonly recorded: number
  readonly replayed: number
  /** Dropped, because what they had fetched was not read. */
  readonly dropped: number
}

/** The record of one image. */
interface Recording {
  readonly blocks: Set<number>
  /** The fetches of a profile, and their time; null where there was none. */
  readonly replayed: { readonly profile: BootProfile; readonly tick: number } | null
  readonly timer: NodeJS.Timeout
}

export class BootProfileRecorder {
  readonly #parts: BootProfilesContext
  readonly #recordings = new Map<StoredImage, Recording>()
  readonly #saving = new Set<Promise<void>>()
  #recorded = 0
  #replayed = 0
  #dropped = 0

  constructor(parts: BootProfilesContext) {
    this.#parts = parts
  }

  get counters(): BootProfileCounters {
    const [recorded, replayed, dropped] = [this.#recorded, this.#replayed, this.#dropped]
    return { recording: this.#recordings.size, recorded, replayed, dropped }
  }

  /** The profile of an image, or of an earlier version of it. */
  of(image: Image, blockBytes: number): BootProfile | null {
    const record = this.#parts.index.profile(image.origin, image.key)
    return record && BootProfile.from(record, blockBytes)
  }

  /** An image has been opened. */
  opened(stored: StoredImage): void {
    if (this.#recordings.has(stored)) return
    const profile = this.of(stored.image, stored.geometry.blockBytes)
    if (!isCold(stored, profile)) return
    const timer = setTimeout(() => this.#finish(stored), profileMs).unref()
    const replayed = profile && { profile, tick: this.#parts.tick() }
    this.#recordings.set(stored, { blocks: new Set(), replayed, timer })
    if (!profile) return
    this.#replayed++
    this.#parts.fetch(stored, profile, Math.min(profileBytesMax, this.#parts.bytesMax()))
  }

  /** Blocks of an image are read. */
  read(stored: StoredImage, { from, to }: Span): void {
    const recording = this.#recordings.get(stored)
    if (!recording) return
    const { blocks } = recording
    for (let block = from; block < to && blocks.size * stored.geometry.blockBytes < profileBytesMax; block++) {
      blocks.add(block)
    }
  }

  /** Keep what was noted until now. Idempotent. */
  async close(): Promise<void> {
    for (const stored of this.#recordings.keys()) this.#finish(stored)
    await Promise.all(this.#saving)
  }

  #finish(stored: StoredImage): void {
    const recording = this.#recordings.get(stored)
    if (!recording) return
    clearTimeout(recording.timer)
    this.#recordings.delete(stored)
    const saving = this.#save(stored, recording)
      .catch(error => {
        const fields = { image: stored.image.key, err: error }
        this.#parts.logger.warn(fields, `a boot profile could not be kept: ${messageOf(error)}`)
      })
      .finally(() => this.#saving.delete(saving))
    this.#saving.add(saving)
  }

  async #save(stored: StoredImage, { blocks, replayed }: Recording): Promise<void> {
    const { index, logger, recordWithin } = this.#parts
    const { image, geometry } = stored
    if (blocks.size === 0) return
    if (replayed) {
      const usedShare = this.#usedShare(stored, blocks, replayed)
      if (usedShare < profileUsedShareMin) {
        this.#dropped++
        logger.info({ image: image.key, usedShare }, 'a boot profile predicted badly, and is dropped')
        await index.removeProfile(image.origin, image.key)
        return
      }
    }
    const profile = replayed?.profile.mergedWith(blocks) ?? BootProfile.of(geometry.blockBytes, blocks)
    const { record } = profile
    if (await recordWithin(16 * record.runs.length, () => index.putProfile(image.origin, image.key, record)))
      this.#recorded++
  }

  /** Of the objects that a profile names, how many were read since: seen here, or answered natively. */
  #usedShare(
    stored: StoredImage,
    blocks: ReadonlySet<number>,
    replayed: { profile: BootProfile; tick: number },
  ): number {
    const objectOf = (block: number) => Math.floor(block / blocksPerObject)
    const { objects: count } = stored.geometry
    const objects = new Set([...replayed.profile.blocks].map(objectOf).filter(object => object < count))
    const seen = new Set([...blocks].map(objectOf))
    // Fetching counts as a use: whatever was read in a later tick was read after it, or fetched late, which is as good.
    const used = [...objects].filter(
      object => seen.has(object) || stored.residency.lastUse(object) > replayed.tick + 20,
    )
    return objects.size === 0 ? 0 : used.length / objects.size
  }
}

/** Is less than half of what will be wanted here? */
function isCold(stored: StoredImage, profile: BootProfile | null): boolean {
  if (!profile) return stored.heldBytes < profileColdBytesMax
  let [held, all] = [0, 0]
  for (const block of profile.blocks) {
    all++
    const blocks = stored.held(Math.floor(block / blocksPerObject))
    if (((blocks >> BigInt(block % blocksPerObject)) & 1n) === 1n) held++
  }
  return held < all / 2
}
