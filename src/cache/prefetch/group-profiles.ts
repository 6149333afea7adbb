/**
 * Boot profiles of a group of hosts: one that another host has learned is used at a cold open, and what was learned
 * here is left with the group. Every profile of another host is taken for hostile, as a published one is.
 */
import { isCacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { ProfileRecord } from '../../index/format/records.ts'
import { formatProfileFile, type ProfileFile, parseProfileFile, profileFileOf } from './profile-file.ts'

/** The group, as far as profiles are concerned; texts are as profile-file.ts writes them. */
export interface ProfileGroup {
  /** @returns null: none came in time. Never rejects. */
  find(origin: string, key: string): Promise<string | null>
  /** Returns at once. */
  push(origin: string, key: string, text: string): void
}

export class GroupProfiles {
  readonly #group: ProfileGroup
  readonly #logger: Logger

  constructor(group: ProfileGroup, logger: Logger) {
    this.#group = group
    this.#logger = logger
  }

  /** The profile that another host has learned; null: none, or none that is usable. Never rejects. */
  async find({ origin, key }: Image): Promise<ProfileFile | null> {
    const text = await this.#group.find(origin, key)
    if (text === null) return null
    try {
      return parseProfileFile(text)
    } catch (error) {
      if (!isCacheError(error)) throw error
      this.#logger.info({ image: key, reason: error.message }, 'boot profile of the group: invalid')
      return null
    }
  }

  /** A profile was learned here. */
  learned(image: Image, record: ProfileRecord): void {
    const file = profileFileOf(image, record)
    if (file.ranges.length > 0) this.#group.push(image.origin, image.key, formatProfileFile(file))
  }
}
