/**
 * Promotion of an image by its whole group: first each member brings the units that it owns, and then all of it. So
 * each byte leaves the origin once, and members have it from each other.
 *
 * A member that dies, or cannot, is gone around: its units are those of the next ranks. Every host is asked for its
 * progress once in a while, and stops when it is asked no more.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import { CacheError, messageOf, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { GroupView, KnownMember } from '../group/group-view.ts'
import { type PromotionPart, type PromotionState, parsePromotionState, promotePath } from '../wire/promotion.ts'
import { memberAnswerBytesMax, promotedAtOnceMax, promotionAskMs, promotionLostMsMax, pushMsMax } from './limits.ts'
import type { MemberMessages } from './member-channel.ts'

export interface GroupPromotionContext {
  readonly view: Pick<GroupView, 'members' | 'own'>
  messagesOf(member: KnownMember): MemberMessages
  /** Bring a part of it here. @throws CacheError, see CacheOperations.promote */
  promoteHere(
    image: Image,
    part: PromotionPart,
    options: GroupPromotionOptions,
  ): Promise<{ readonly promotedBytes: number; readonly complete: boolean }>
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export interface GroupPromotionOptions {
  readonly signal: AbortSignal
  readonly onProgress: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void
}

/** The outcome at one host. */
export interface PromotedMember {
  readonly id: string
  readonly promotedBytes: number
  readonly complete: boolean
  /** Why it has not all of it; null: it has. */
  readonly failure: string | null
}

/** Said to operators for each part. */
const phases: Readonly<Record<PromotionPart, string>> = { own: 'each owner its units', all: 'all members all of it' }

/** This host, where it is no member. */
const asksOnly = 'this host'

/** The work of one host. */
interface Share {
  readonly id: string
  /** Null: this host. */
  readonly member: KnownMember | null
  doneBytes: number
  promotedBytes: number
  complete: boolean
  failure: string | null
}

/** Members that promotions have left with all of an image, and without. */
export interface GroupPromotionCounters {
  readonly complete: number
  readonly incomplete: number
}

export class GroupPromotion {
  readonly #parts: GroupPromotionContext
  readonly #counters = { complete: 0, incomplete: 0 }

  constructor(parts: GroupPromotionContext) {
    this.#parts = parts
  }

  get counters(): GroupPromotionCounters {
    return { ...this.#counters }
  }

  /**
   * Bring an image to all members that are listed and up, and to this host.
   * @throws CacheError aborted
   */
  async run(
    image: Image,
    { signal, onProgress }: Omit<GroupPromotionOptions, 'onProgress'> & { onProgress: OnGroupProgress },
  ): Promise<PromotedMember[]> {
    const { members, own } = this.#parts.view
    const others = members.filter(({ id, isVanished, state }) => id !== own?.id && !isVanished && state === 'up')
    const shareOf = (id: string, member: KnownMember | null): Share => {
      return { id, member, doneBytes: 0, promotedBytes: 0, complete: false, failure: null }
    }
    const shares = [shareOf(own?.id ?? asksOnly, null), ...others.map(member => shareOf(member.id, member))]
    for (const part of ['own', 'all'] as const) {
      // A host that failed with its own units may still take those of others.
      for (const share of shares) Object.assign(share, { doneBytes: 0, failure: null })
      const totalBytes = part === 'own' ? image.sizeBytes : image.sizeBytes * shares.length
      const say = () => {
        const doneBytes = shares.reduce((sum, share) => sum + share.doneBytes, 0)
        onProgress({ phase: phases[part], doneBytes: Math.min(totalBytes, doneBytes), totalBytes })
      }
      say()
      const waiting = own === null && part === 'own' ? shares.slice(1) : [...shares]
      const work = async () => {
        for (let share = waiting.shift(); share; share = waiting.shift())
          await this.#promote(image, part, share, say, signal)
      }
      await Promise.all(Array.from({ length: Math.min(promotedAtOnceMax, waiting.length) }, work))
      throwIfAborted(signal)
    }
    for (const { complete } of shares) this.#counters[complete ? 'complete' : 'incomplete']++
    return shares.map(({ id, promotedBytes, complete, failure }) => ({ id, promotedBytes, complete, failure }))
  }

  /** Rejects with nothing but aborted. */
  async #promote(image: Image, part: PromotionPart, share: Share, say: () => void, signal: AbortSignal): Promise<void> {
    const onProgress = ({ doneBytes }: { readonly doneBytes: number }) => {
      share.doneBytes = doneBytes
      say()
    }
    try {
      const { promotedBytes, complete } = share.member
        ? await this.#promoteThere(image, part, share.member, onProgress, signal)
        : await this.#parts.promoteHere(image, part, { signal, onProgress })
      share.promotedBytes += promotedBytes
      share.complete = complete
    } catch (error) {
      throwIfAborted(signal)
      share.failure = messageOf(error)
    }
    say()
  }

  /** @throws CacheError aborted, origin-failed (it could not, or does not answer) */
  async #promoteThere(
    image: Image,
    part: PromotionPart,
    member: KnownMember,
    onProgress: (progress: PromotionState) => void,
    signal: AbortSignal,
  ): Promise<PromotionState> {
    const { now } = this.#parts
    for (let heardMs = now(); ; ) {
      throwIfAborted(signal)
      const answer = await this.#ask(image, part, member, signal)
      if (typeof answer !== 'string') {
        heardMs = now()
        onProgress(answer)
        if (answer.state === 'done') return answer
        if (answer.state === 'failed') throw new CacheError('origin-failed', answer.reason)
      } else if (now() - heardMs > promotionLostMsMax) throw new CacheError('origin-failed', answer)
      await pause(promotionAskMs, signal)
    }
  }

  /** @returns its state, or why there is none. Never rejects. */
  async #ask(
    image: Image,
    part: PromotionPart,
    member: KnownMember,
    caller: AbortSignal,
  ): Promise<PromotionState | string> {
    const signal = new LightAbortSignal(caller)
    const timer = setTimeout(() => signal.abort(), pushMsMax)
    try {
      const message = { method: 'POST', path: promotePath(image.id, part), body: null, image } as const
      const channel = this.#parts.messagesOf(member)
      const { status, text } = await channel.request({ ...message, bytesMax: memberAnswerBytesMax }, signal)
      if (status !== 200) return `${member.url}: answered with status ${status}`
      return parsePromotionState(text) ?? `${member.url}: answered nonsense`
    } catch (error) {
      return signal.aborted ? `${member.url}: no answer in ${pushMsMax} ms` : messageOf(error)
    } finally {
      clearTimeout(timer)
      signal.end()
    }
  }
}

/** The progress of all hosts together. */
export type OnGroupProgress = (progress: {
  readonly phase: string
  readonly doneBytes: number
  readonly totalBytes: number
}) => void
