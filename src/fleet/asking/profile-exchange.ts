/**
 * Profile exchange: boot profiles asked of the group, and left with it. The members of the first ranks of an image's
 * name keep its profile.
 *
 * Members are asked at once, and the first profile counts. A profile is pushed behind the reads, one after the other.
 * Nothing here rejects: a host without a profile of others learns its own.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { GroupView, KnownMember } from '../group/group-view.ts'
import { hashOfName, profileBodyBytesMax, profilePathPrefix } from '../wire/wire.ts'
import { profileMsMax, profileRanks, pushesMax, pushMsMax } from './limits.ts'
import type { MemberMessages } from './member-channel.ts'

/** The profiles that this host keeps for others, by the hash of origin and key. */
export interface OwnProfiles {
  get(hash: string): string | null
  /** @returns false for a text that is no profile */
  merge(hash: string, text: string): boolean
}

export interface ProfileExchangeContext {
  readonly view: Pick<GroupView, 'ranks' | 'own'>
  readonly own: OwnProfiles
  readonly logger: Logger
  messagesOf(member: KnownMember): MemberMessages
  isUsable(member: KnownMember): boolean
}

export interface ProfileExchangeCounters {
  readonly found: number
  readonly absent: number
  /** Taken by members, this host included. */
  readonly pushed: number
  /** Members that did not take one in time, and profiles that were not pushed because others waited. */
  readonly notPushed: number
}

interface Push {
  readonly hash: string
  readonly text: string
}

export class ProfileExchange {
  readonly #parts: ProfileExchangeContext
  readonly #stop = new LightAbortSignal()
  readonly #waiting: Push[] = []
  readonly #counters = { found: 0, absent: 0, pushed: 0, notPushed: 0 }
  #pushing: Promise<void> | null = null

  constructor(parts: ProfileExchangeContext) {
    this.#parts = parts
  }

  get counters(): ProfileExchangeCounters {
    return { ...this.#counters }
  }

  /** The text of a profile from the group; null: none came in time. Never rejects. */
  async find(origin: string, key: string): Promise<string | null> {
    const hash = hashOfName(origin, key)
    const own = this.#parts.own.get(hash)
    const text = own ?? (await this.#ask(hash))
    this.#counters[text === null ? 'absent' : 'found']++
    return text
  }

  /** Leave a profile with the group. Returns at once; too many that wait are left out. */
  push(origin: string, key: string, text: string): void {
    if (this.#stop.aborted || Buffer.byteLength(text) > profileBodyBytesMax || this.#waiting.length >= pushesMax) {
      this.#counters.notPushed++
      return
    }
    this.#waiting.push({ hash: hashOfName(origin, key), text })
    this.#pushing ??= this.#pushAll().finally(() => {
      this.#pushing = null
    })
  }

  /** Gives up what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#pushing
  }

  #ask(hash: string): Promise<string | null> {
    const members = this.#keepersOf(hash).filter(member => member.id !== this.#parts.view.own?.id)
    if (members.length === 0) return Promise.resolve(null)
    const signal = new LightAbortSignal(this.#stop)
    return new Promise(resolve => {
      const end = (text: string | null) => {
        clearTimeout(timer)
        signal.abort()
        resolve(text)
      }
      const timer = setTimeout(() => end(null), profileMsMax)
      let left = members.length
      for (const member of members) {
        void this.#request(member, 'GET', hash, null, signal).then(text => {
          left--
          if (text !== null || left === 0) end(text)
        })
      }
    })
  }

  /** Never rejects. */
  async #pushAll(): Promise<void> {
    for (let push = this.#waiting.shift(); push && !this.#stop.aborted; push = this.#waiting.shift()) {
      const { hash, text } = push
      const signal = new LightAbortSignal(this.#stop)
      const timer = setTimeout(() => signal.abort(), pushMsMax)
      const taken = await Promise.all(
        this.#keepersOf(hash).map(async member =>
          member.id === this.#parts.view.own?.id
            ? this.#parts.own.merge(hash, text)
            : (await this.#request(member, 'PUT', hash, text, signal)) !== null,
        ),
      )
      clearTimeout(timer)
      signal.end()
      for (const isTaken of taken) this.#counters[isTaken ? 'pushed' : 'notPushed']++
    }
  }

  /** @returns the text of the answer; null: the member did not do it. Never rejects. */
  async #request(
    member: KnownMember,
    method: 'GET' | 'PUT',
    hash: string,
    body: string | null,
    signal: LightAbortSignal,
  ): Promise<string | null> {
    try {
      const asked = { method, path: profilePathPrefix + hash, body, bytesMax: profileBodyBytesMax }
      const { status, text } = await this.#parts.messagesOf(member).request(asked, signal)
      return status === 200 || status === 204 ? text : null
    } catch (error) {
      if (!signal.aborted) this.#parts.logger.debug({ member: member.id, reason: messageOf(error) }, 'no boot profile')
      return null
    }
  }

  /** The members of the first ranks, ourselves included. */
  #keepersOf(hash: string): readonly KnownMember[] {
    const { view, isUsable } = this.#parts
    const { near, far } = view.ranks(hash.slice(0, 32), 0)
    return (far ?? near).filter(member => member.id === view.own?.id || isUsable(member)).slice(0, profileRanks)
  }
}
