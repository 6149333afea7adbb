/**
 * Member versions: the version that a name means at an origin which this host does not reach, as members heard of it
 * there. It is believed as second-hand bytes are: one group is one domain of trust.
 *
 * Several members are asked at once. The first whose answer is fresh counts, else the latest of all. A member asks the
 * origin itself, and no further member; one that was told by another says nothing.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { RunAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { messageOf } from '../../base/errors.ts'
import type { ImageFacts } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { imageBytesMax } from '../../origin/wrappers/limits.ts'
import type { GroupView, KnownMember } from '../group/group-view.ts'
import { parseVersion, type ToldVersion, versionBytesMax, versionPath } from '../wire/version.ts'
import { hashOfName } from '../wire/wire.ts'
import { relayedMembersMax, relayMsMax } from './limits.ts'
import type { MemberMessages } from './member-channel.ts'

export interface MemberVersionsContext {
  readonly view: Pick<GroupView, 'ranks' | 'own'>
  readonly logger: Logger
  readonly after: RunAfter
  messagesOf(member: KnownMember): MemberMessages
  isUsable(member: KnownMember): boolean
}

export interface MemberVersionCounters {
  /** Versions that members told. */
  readonly told: number
  /** Names that no member knew. */
  readonly untold: number
}

/** Facts of an image by the word of a member. */
export interface SecondHandFacts extends ImageFacts {
  /** The member's id. */
  readonly toldBy: string
}

interface Answer {
  readonly member: KnownMember
  readonly version: ToldVersion
}

export class MemberVersions {
  readonly #parts: MemberVersionsContext
  #counters = { told: 0, untold: 0 }

  constructor(parts: MemberVersionsContext) {
    this.#parts = parts
  }

  get counters(): MemberVersionCounters {
    return { ...this.#counters }
  }

  /** @returns null: no member knows it. Never rejects */
  async find(origin: string, key: string, caller: CancelSignal): Promise<SecondHandFacts | null> {
    const best = await this.#ask(origin, key, caller)
    if (best === null) {
      this.#counters.untold++
      return null
    }
    this.#counters.told++
    const { member, version } = best
    const { sizeBytes, validator, modifiedMs } = version
    const message = 'the origin does not answer this host: a member has told the version of an image'
    this.#parts.logger.info({ origin, key, member: member.id, ageMs: version.ageMs }, message)
    return { origin, key, sizeBytes, validator, modifiedMs, toldBy: member.id }
  }

  #ask(origin: string, key: string, caller: CancelSignal): Promise<Answer | null> {
    const members = this.#askedFor(origin, key)
    if (members.length === 0 || caller.aborted) return Promise.resolve(null)
    const signal = new LightAbortSignal(caller)
    let best: Answer | null = null
    return new Promise(resolve => {
      const end = () => {
        cancel()
        signal.abort()
        signal.end()
        resolve(best)
      }
      const cancel = this.#parts.after(relayMsMax, end)
      signal.addEventListener('abort', end)
      let left = members.length
      for (const member of members) {
        void this.#request(member, origin, key, signal).then(version => {
          left--
          if (version && isBetter(version, best?.version ?? null)) best = { member, version }
          if (version?.isFresh || left === 0) end()
        })
      }
    })
  }

  /** Never rejects. */
  async #request(member: KnownMember, origin: string, key: string, signal: CancelSignal): Promise<ToldVersion | null> {
    try {
      const asked = { method: 'GET', path: versionPath, body: null, image: { origin, key } } as const
      const channel = this.#parts.messagesOf(member)
      const { status, text } = await channel.request({ ...asked, bytesMax: versionBytesMax }, signal)
      const version = status === 200 ? parseVersion(text) : null
      return version && version.sizeBytes <= imageBytesMax ? version : null
    } catch (error) {
      if (!signal.aborted) this.#parts.logger.debug({ member: member.id, reason: messageOf(error) }, 'no version')
      return null
    }
  }

  /** The first ranks of the name: the same ones on each host, which then know it. */
  #askedFor(origin: string, key: string): readonly KnownMember[] {
    const { view, isUsable } = this.#parts
    const { near, far } = view.ranks(hashOfName(origin, key).slice(0, 32), 0)
    const others = (far ?? near).filter(member => member.id !== view.own?.id && isUsable(member))
    return others.slice(0, relayedMembersMax)
  }
}

/** A fresh one is better than an old one, a younger one than an older one; one of an unknown age is the oldest. */
function isBetter(version: ToldVersion, than: ToldVersion | null): boolean {
  if (than === null || version.isFresh !== than.isFresh) return than === null || version.isFresh
  return (version.ageMs ?? Number.POSITIVE_INFINITY) < (than.ageMs ?? Number.POSITIVE_INFINITY)
}
