/**
 * Published profiles: finds the boot profile that a publisher put beside an image, as `NAME.parentfs-profile`.
 *
 * The search runs beside the first reads and delays none: it has its own time, its own bound of requests at once, and
 * fails for itself. An image without a usable profile is remembered, so that its version is not asked for twice.
 */

import { ByteSemaphore } from '../../async/byte-semaphore.ts'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { CacheError, type ErrorCode, isCacheError, messageOf } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import { isImageKey, profileSuffix } from '../../origin/contract/image-name.ts'
import type { Origin, ReadOptions } from '../../origin/contract/origin.ts'
import type { OriginTable } from '../fetch/origin-table.ts'
import { profileFileBytesMax, profileFindMsMax, profileFindsMax, profilesMissingMax } from './limits.ts'
import { type ProfileFile, parseProfileFile } from './profile-file.ts'

/**
 * The outcomes of a search. `absent`: there is none; `denied`: the origin refuses it; `unavailable`: no answer in time,
 * or a failure; `too-large` and `invalid`: it is no profile.
 */
export const profileRefusals = ['absent', 'denied', 'unavailable', 'too-large', 'invalid'] as const
export type ProfileRefusal = (typeof profileRefusals)[number]

export interface PublishedProfilesContext {
  readonly origins: Pick<OriginTable, 'of' | 'prefetchRequestsMax'>
  readonly logger: Logger
  /** The time of one search, in milliseconds; profileFindMsMax when absent. */
  readonly profileFindMsMax?: number
}

export interface PublishedProfileCounters {
  /** Read, and well-formed. */
  readonly found: number
  readonly refused: Readonly<Record<ProfileRefusal, number>>
}

export class PublishedProfiles {
  readonly #parts: PublishedProfilesContext
  /** Why an image, by its id, has no usable profile. */
  readonly #missing = new LruMap<string, ProfileRefusal>(profilesMissingMax)
  /** Searches at once, by the URL of the origin. */
  readonly #turns = new Map<string, ByteSemaphore>()
  readonly #stop = new LightAbortSignal()
  readonly #refused = Object.fromEntries(profileRefusals.map(reason => [reason, 0])) as Record<ProfileRefusal, number>
  #found = 0

  constructor(parts: PublishedProfilesContext) {
    this.#parts = parts
  }

  get counters(): PublishedProfileCounters {
    return { found: this.#found, refused: { ...this.#refused } }
  }

  /** Why the profile beside an image is not used; null: it was not looked for, or is used. */
  refusalOf({ id }: Image): ProfileRefusal | null {
    return this.#missing.get(id) ?? null
  }

  /** The profile beside an image; null: none that could be used. Never rejects. */
  async find(image: Image): Promise<ProfileFile | null> {
    const key = `${image.key}${profileSuffix}`
    const { origins } = this.#parts
    // Where nothing may be prefetched now, a profile is of no use.
    if (this.#missing.has(image.id) || image.key.endsWith(profileSuffix) || origins.prefetchRequestsMax(image) === 0) {
      return null
    }
    const signal = new LightAbortSignal(this.#stop)
    const timer = setTimeout(() => signal.abort(), this.#parts.profileFindMsMax ?? profileFindMsMax)
    try {
      const { origin, hasProfiles = false } = origins.of(image)
      if (!hasProfiles || !isImageKey(key)) return null
      const file = await this.#turnsOf(origin).run(1, signal, () => read(origin, key, { signal, isOptional: true }))
      this.#found++
      return file
    } catch (error) {
      if (!this.#stop.aborted) this.#refuse(image, error)
      return null
    } finally {
      clearTimeout(timer)
      signal.end()
    }
  }

  /** Gives up what is under way. Idempotent. */
  close(): void {
    this.#stop.abort()
  }

  #turnsOf({ url }: Origin): ByteSemaphore {
    const known = this.#turns.get(url) ?? new ByteSemaphore(profileFindsMax)
    this.#turns.set(url, known)
    return known
  }

  #refuse(image: Image, error: unknown): void {
    const reason = (isCacheError(error) && refusals[error.code]) || 'unavailable'
    this.#refused[reason]++
    // The next cold open may have more luck with an origin that was slow.
    if (reason !== 'unavailable') this.#missing.set(image.id, reason)
    const level = reason === 'absent' ? 'debug' : 'info'
    this.#parts.logger[level]({ image: image.key, reason: messageOf(error) }, `published boot profile: ${reason}`)
  }
}

/** All others are failures. */
const refusals: { readonly [Code in ErrorCode]?: ProfileRefusal } = {
  'not-found': 'absent',
  'access-denied': 'denied',
  'image-too-large': 'too-large',
  'invalid-argument': 'invalid',
  'origin-unsupported': 'invalid',
}

/** @throws CacheError image-too-large, invalid-argument, and what the origin throws */
async function read(origin: Origin, key: string, options: ReadOptions): Promise<ProfileFile> {
  const facts = await origin.lookup(key, options)
  if (facts.sizeBytes > profileFileBytesMax) {
    throw new CacheError('image-too-large', `${key}: has ${facts.sizeBytes} bytes, over ${profileFileBytesMax}`)
  }
  const bytes = Buffer.alloc(facts.sizeBytes)
  await origin.read(identify(facts), 0, bytes, options)
  return parseProfileFile(bytes.toString('utf8'))
}
