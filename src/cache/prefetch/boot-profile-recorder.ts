/**
 * Learned boot profiles: the reads of an image after a cold open are recorded in the index, and prefetched the next
 * time, also for a new version of the same name. A profile that predicts badly is dropped.
 *
 * Before anything was learned, the profile of another host of the group takes its place, or the one that the publisher
 * put beside the image.
 */

import { messageOf } from '../../base/errors.ts'
import { blocksPerObject, type Image } from '../../base/image.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { profileBytesMax, profileColdBytesMax, profileMs, profileUsedShareMin } from '../fetch/limits.ts'
import { BootProfile } from './boot-profile.ts'
import { GroupProfiles, type ProfileGroup } from './group-profiles.ts'
import { profileImageShareMax } from './limits.ts'
import { type ProfileFile, type ProfileTrust, rangesWithin, trustIn } from './profile-file.ts'
import { ProfileReplay } from './profile-replay.ts'
import {
  type PublishedProfileCounters,
  PublishedProfiles,
  type PublishedProfilesContext,
} from './published-profiles.ts'
import type { Span } from './stream-detector.ts'

export interface BootProfilesContext extends PublishedProfilesContext {
  readonly index: Pick<IndexDatabase, 'profile' | 'putProfile' | 'removeProfile'>
  /** The group of this host; none when absent. */
  readonly profileGroup?: ProfileGroup | undefined
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
  /** Those of them that another host had learned. */
  readonly fromGroup: number
  /** Dropped, because what they had fetched was not read. */
  readonly dropped: number
  readonly published: PublishedProfileCounters & {
    /** Fetched ahead from its begin: the profile of the version, or of another one, part by part. */
    readonly replayed: Readonly<Record<ProfileTrust, number>>
  }
}

/** The fetches of a profile. */
interface Replayed {
  readonly profile: BootProfile
  /** The time of the first fetch. */
  readonly tick: number
  readonly replay: ProfileReplay
  readonly source: ProfileSource
}

type ProfileSource = 'learned' | 'group' | 'published'

/** The record of one image. */
interface Recording {
  readonly blocks: Set<number>
  /** Null where there is no profile, or not yet. */
  replayed: Replayed | null
  readonly timer: NodeJS.Timeout
}

export class BootProfileRecorder {
  readonly #parts: BootProfilesContext
  readonly #recordings = new Map<StoredImage, Recording>()
  readonly #saving = new Set<Promise<void>>()
  readonly #published: PublishedProfiles
  readonly #group: GroupProfiles | null
  readonly #replayedPublished = { version: 0, name: 0 }
  #recorded = 0
  #replayed = 0
  #dropped = 0
  #fromGroup = 0

  constructor(parts: BootProfilesContext) {
    this.#parts = parts
    this.#published = new PublishedProfiles(parts)
    this.#group = parts.profileGroup ? new GroupProfiles(parts.profileGroup, parts.logger) : null
  }

  get counters(): BootProfileCounters {
    const [recorded, replayed, dropped] = [this.#recorded, this.#replayed, this.#dropped]
    const published = { ...this.#published.counters, replayed: { ...this.#replayedPublished } }
    const fromGroup = this.#fromGroup
    return { recording: this.#recordings.size, recorded, replayed, fromGroup, dropped, published }
  }

  /** The profile of an image, or of an earlier version of it. */
  of(image: Image, blockBytes: number): BootProfile | null {
    const record = this.#parts.index.profile(image.origin, image.key)
    return record && BootProfile.from(record, blockBytes)
  }

  /** The boot profile of an image in words: of its next cold open, or of this one. */
  stateOf(image: Image): string {
    const stored = [...this.#recordings.keys()].find(each => each.image.id === image.id)
    const replayed = stored && this.#recordings.get(stored)?.replayed
    if (replayed?.source === 'group') return 'of the group, fetched ahead at this open'
    if (replayed?.source === 'published') return 'published, fetched ahead at this open'
    const record = this.#parts.index.profile(image.origin, image.key)
    if (record) return `learned from ${record.openers} cold opens`
    const refusal = this.#published.refusalOf(image)
    if (refusal) return `none learned, none published (${refusal})`
    return stored ? 'none yet: recorded now' : 'none learned; a published one is looked for at a cold open'
  }

  /** An image has been opened. */
  opened(stored: StoredImage): void {
    if (this.#recordings.has(stored)) return
    const profile = this.of(stored.image, stored.geometry.blockBytes)
    if (!isCold(stored, profile)) return
    const timer = setTimeout(() => void this.finish(stored), profileMs).unref() // Never rejects.
    const recording: Recording = { blocks: new Set(), replayed: null, timer }
    this.#recordings.set(stored, recording)
    if (profile) recording.replayed = this.#replay(stored, profile, 'learned')
    else void this.#replayFound(stored, recording) // Never rejects.
  }

  /** Blocks of an image are read. */
  read(stored: StoredImage, { from, to }: Span): void {
    const recording = this.#recordings.get(stored)
    if (!recording) return
    const { blocks, replayed } = recording
    for (let block = from; block < to && blocks.size * stored.geometry.blockBytes < profileBytesMax; block++) {
      blocks.add(block)
      replayed?.replay.read(block)
    }
  }

  /** End the recording of an image now, and keep what was noted. Never rejects. */
  finish(stored: StoredImage): Promise<void> {
    const recording = this.#recordings.get(stored)
    if (!recording) return Promise.resolve()
    clearTimeout(recording.timer)
    this.#recordings.delete(stored)
    const saving = this.#save(stored, recording)
      .catch(error => {
        const fields = { image: stored.image.key, err: error }
        this.#parts.logger.warn(fields, `a boot profile could not be kept: ${messageOf(error)}`)
      })
      .finally(() => this.#saving.delete(saving))
    this.#saving.add(saving)
    return saving
  }

  /** Keep what was noted until now. Idempotent. */
  async close(): Promise<void> {
    this.#published.close()
    for (const stored of this.#recordings.keys()) void this.finish(stored) // Waited for below.
    await Promise.all(this.#saving)
  }

  /** The profile of the group, or the one beside the image, once it is found: readers have begun. Never rejects. */
  async #replayFound(stored: StoredImage, recording: Recording): Promise<void> {
    const shared = (await this.#group?.find(stored.image)) ?? null
    const file = shared ?? (await this.#published.find(stored.image))
    if (!file || this.#recordings.get(stored) !== recording) return
    const trust = trustIn(file, stored.image)
    if (shared) this.#fromGroup++
    else this.#replayedPublished[trust]++
    const source = shared ? 'group' : 'published'
    recording.replayed = this.#replay(stored, this.#profileOf(stored, file), source, trust)
    for (const block of recording.blocks) recording.replayed.replay.read(block)
  }

  #replay(stored: StoredImage, profile: BootProfile, source: ProfileSource, trust: ProfileTrust = 'version'): Replayed {
    const { blockBytes } = stored.geometry
    const bytesMax = Math.min(profileBytesMax, this.#parts.bytesMax())
    const tick = this.#parts.tick()
    this.#replayed++
    const replay = new ProfileReplay({
      blocks: [...profile.blocks].slice(0, Math.floor(bytesMax / blockBytes)),
      blockBytes,
      isTrusted: trust !== 'name',
      fetch: part => this.#parts.fetch(stored, BootProfile.of(blockBytes, part), bytesMax),
    })
    return { profile, tick, replay, source }
  }

  /** The part of a file that may be fetched. */
  #profileOf({ geometry: { sizeBytes, blockBytes } }: StoredImage, file: ProfileFile): BootProfile {
    const bytesMax = Math.min(profileBytesMax, this.#parts.bytesMax(), Math.ceil(sizeBytes * profileImageShareMax))
    return BootProfile.ofRanges(blockBytes, rangesWithin(file, sizeBytes, bytesMax))
  }

  async #save(stored: StoredImage, { blocks, replayed }: Recording): Promise<void> {
    const { index, logger, recordWithin } = this.#parts
    const { image, geometry } = stored
    if (blocks.size === 0) return
    const own = BootProfile.of(geometry.blockBytes, blocks)
    const usedShare = replayed ? this.#usedShare(stored, blocks, replayed) : 1
    const isBad = usedShare < profileUsedShareMin
    if (isBad) {
      this.#dropped++
      logger.info({ image: image.key, usedShare }, 'a boot profile predicted badly, and is dropped')
      if (replayed!.source === 'learned') return await index.removeProfile(image.origin, image.key)
    }
    const { record } = replayed && !isBad ? replayed.profile.mergedWith(blocks) : own
    this.#group?.learned(image, record)
    if (await recordWithin(16 * record.runs.length, () => index.putProfile(image.origin, image.key, record)))
      this.#recorded++
  }

  /** Of the objects that were fetched, how many were read since: seen here, or answered natively. */
  #usedShare(
    stored: StoredImage,
    blocks: ReadonlySet<number>,
    { replay, tick }: Pick<Replayed, 'replay' | 'tick'>,
  ): number {
    const objectOf = (block: number) => Math.floor(block / blocksPerObject)
    const { objects: count } = stored.geometry
    const objects = new Set(replay.fetched.map(objectOf).filter(object => object < count))
    const seen = new Set([...blocks].map(objectOf))
    // Fetching counts as a use: whatever was read in a later tick was read after it, or fetched late, which is as good.
    const used = [...objects].filter(object => seen.has(object) || stored.residency.lastUse(object) > tick + 20)
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
