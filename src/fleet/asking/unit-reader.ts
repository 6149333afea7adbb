/**
 * Unit reader: brings a run of blocks of one unit from the members of the group, and where they do not have it in time,
 * from the origin.
 *
 * Bounds of one read: two silent members, a few that fail, and a time to wait for busy ones. A busy member leads to the
 * next one and not to the origin, as long as the group moves.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { RunAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { abortedBy, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { GroupView, KnownMember } from '../group/group-view.ts'
import { AskOrder, type AskStep } from './ask-order.ts'
import type { FormerOwnerUnits } from './former-owner-units.ts'
import type { HedgeBudget } from './hedge-budget.ts'
import {
  absentMembersMax,
  failedMembersMax,
  groupMovesMs,
  hedgeFactor,
  memberHedgeMsMin,
  refusedMsMax,
  refusedMsMin,
  silentMembersMax,
  soonerFactor,
  waitMsMax,
} from './limits.ts'
import type { AskOutcome, MemberChannel } from './member-channel.ts'
import type { OriginPace } from './origin-pace.ts'
import type { PeerHealth } from './peer-health.ts'
import type { ReplicaCounts } from './replica-counts.ts'

/**
 * The reason of a read at the origin: our own part of the units; members that were silent, or failed; members that took
 * too long; an origin that is sooner; no member that could be asked.
 */
export const originReasons = ['own', 'silent', 'failed', 'late', 'sooner', 'nobody'] as const
export type OriginReason = (typeof originReasons)[number]

export interface UnitRange {
  readonly image: Image
  readonly unit: number
  /** Bytes within the image. */
  readonly offset: number
  readonly target: Uint8Array
  /** Members that the question has passed; 0: a reader here wants it. */
  readonly hop: number
  /** Its reader proves it: it needs no audit. */
  readonly isProven: boolean
}

/** A member as it is asked. */
export interface Peer {
  readonly channel: MemberChannel
  readonly health: PeerHealth
}

export interface UnitReaderContext {
  readonly view: GroupView
  peerOf(member: KnownMember): Peer
  /** May it be asked now? One that never was may be. */
  isUsable(member: KnownMember): boolean
  readonly replicas: ReplicaCounts
  readonly budget: HedgeBudget
  /** Pays early reads of the origin: all members together have one share, so that a storm of many is not there. */
  readonly originBudget: HedgeBudget
  readonly originPace: OriginPace
  /** Did this host join so lately that others hold its units? */
  isJoining(): boolean
  readonly former: FormerOwnerUnits
  /** A former owner has told its units of an image. */
  onFormerUnits(imageId: string): void
  /** The time that members may add to a read, and may the origin be asked because it is sooner? */
  settings(): { readonly patienceMs: number; readonly prefersSooner: boolean }
  readonly now: () => number
  readonly after: RunAfter
  readonly random: () => number
  /** A member has brought bytes of a unit. */
  onBytes(member: KnownMember, range: UnitRange): void
  /** A member is asked to bring bytes. @returns the end of that */
  onAsk(range: UnitRange): () => void
}

/** A request that has ended. */
interface Contest {
  readonly step: AskStep
  readonly outcome: AskOutcome
}

export class UnitReader {
  readonly #parts: UnitReaderContext
  #movedMs = Number.NEGATIVE_INFINITY

  constructor(parts: UnitReaderContext) {
    this.#parts = parts
  }

  /** The order of members for a unit, as it would be asked now. */
  orderOf(imageId: string, unit: number, hop: number, asked = new Set<string>(), absent = new Set<string>()): AskOrder {
    const { view, isUsable, replicas, isJoining, former } = this.#parts
    return new AskOrder({
      ranks: view.ranks(imageId, unit),
      ownId: view.own?.id ?? null,
      isUsable: member => !absent.has(member.id) && isUsable(member),
      replicas: () => replicas.of(imageId),
      hop,
      isJoining: isJoining(),
      mayHold: ({ id }) => former.mayHold(id, imageId, unit),
      draw: drawOf(view.own?.id ?? '', imageId, unit),
      asked,
    })
  }

  /**
   * Fill the range from members.
   * @returns null when the target has all of it; else the reason for asking the origin, and the bytes that are right
   * @throws CacheError aborted
   */
  async read(range: UnitRange, signal: CancelSignal): Promise<{ reason: OriginReason; goodBytes: number } | null> {
    const { image, unit } = range
    const { now, replicas } = this.#parts
    const startMs = now()
    const [asked, absent] = [new Set<string>(), new Set<string>()]
    let [silent, failed, refused, goodBytes] = [0, 0, 0, 0]
    let order = this.orderOf(image.id, unit, range.hop, asked)
    for (;;) {
      throwIfAborted(signal)
      const rest = { ...range, offset: range.offset + goodBytes, target: range.target.subarray(goodBytes) }
      const step = order.next()
      if (step === null) {
        if (refused === 0)
          return { reason: order.isOrigins || order.rank === 0 ? 'own' : failed > 0 ? 'failed' : 'nobody', goodBytes }
        if (!this.#mayWait(startMs)) return { reason: 'late', goodBytes }
        await this.#pause(signal)
        asked.clear()
        refused = 0
        continue
      }
      if (this.#isOriginSooner(step, rest.target.length)) return { reason: 'sooner', goodBytes }
      const contest = await this.#ask(step, rest, () => order.next(), startMs, signal)
      throwIfAborted(signal)
      if (contest === null) return { reason: 'late', goodBytes }
      const { outcome } = contest
      if (outcome.kind === 'bytes') {
        this.#parts.onBytes(contest.step.member, rest)
        return null
      }
      if (outcome.kind === 'busy') {
        replicas.refused(image.id, outcome.replicas)
        refused++
        if (refused > replicas.of(image.id) / 2 + 1) await this.#pause(signal)
        continue
      }
      if (outcome.kind === 'absent') {
        // It does not bring what it was asked to: it is no owner, whatever the view says, and the next rank is.
        if (!contest.step.fill || absent.size >= absentMembersMax) continue
        absent.add(contest.step.member.id)
        order = this.orderOf(image.id, unit, range.hop, asked, absent)
        continue
      }
      if (outcome.kind === 'lost' && outcome.goodBytes > 0) {
        this.#parts.onBytes(contest.step.member, { ...rest, target: rest.target.subarray(0, outcome.goodBytes) })
        goodBytes += outcome.goodBytes
      }
      if (outcome.kind === 'silent') silent++
      failed++
      if (silent >= silentMembersMax) return { reason: 'silent', goodBytes }
      if (failed >= failedMembersMax) return { reason: 'failed', goodBytes }
      // The next rank has the part of a member that is passed by; that may be ourselves.
      order = this.orderOf(image.id, unit, range.hop, asked, absent)
    }
  }

  /** One request, and a second one beside it when that is slow and paid. @returns null: the origin is to be asked */
  async #ask(
    step: AskStep,
    range: UnitRange,
    next: () => AskStep | null,
    startMs: number,
    caller: CancelSignal,
  ): Promise<Contest | null> {
    const { after, budget, originBudget, originPace, settings } = this.#parts
    const bytes = range.target.length
    const all = new LightAbortSignal(caller)
    const first = new LightAbortSignal(all)
    let isLate = false
    let second: Promise<Contest> | null = null
    let copied: Uint8Array | null = null
    const cancelHedge = after(this.#hedgeMs(step.member, bytes), () => {
      const other = budget.pay() ? next() : null
      if (!other) return
      const target = Buffer.allocUnsafeSlow(bytes)
      second = this.#askOnce(other, { ...range, target }, all)
      void second.then(({ outcome }) => {
        if (outcome.kind !== 'bytes') return
        copied = target
        first.abort()
      })
    })
    let cancelLate = () => {}
    const look = (ms: number) => {
      cancelLate = after(ms, () => {
        const isOver = !this.#mayWait(startMs)
        isLate = isOver || originBudget.pay()
        if (isOver) this.#parts.peerOf(step.member).health.late()
        if (isLate) all.abort()
        else look(memberHedgeMsMin)
      })
    }
    look(originPace.predictedMs(bytes) + settings().patienceMs)
    let contest = await this.#askOnce(step, range, first)
    cancelHedge()
    // TypeScript does not see that the timer sets it.
    const other = second as Promise<Contest> | null
    if (other) {
      if (contest.outcome.kind === 'bytes') all.abort()
      const ended = await other
      if (contest.outcome.kind !== 'bytes' && copied) {
        range.target.set(copied)
        contest = ended
      }
    }
    cancelLate()
    first.end()
    all.end()
    return isLate && contest.outcome.kind === 'aborted' ? null : contest
  }

  async #askOnce(step: AskStep, range: UnitRange, signal: CancelSignal): Promise<Contest> {
    const { image, offset, target, hop } = range
    const { peerOf, now, budget, originBudget, settings, view, former } = this.#parts
    const { channel, health } = peerOf(step.member)
    const { rank, fill } = step
    const startMs = now()
    health.begin()
    const endAsk = fill ? this.#parts.onAsk(range) : () => {}
    const options = { signal, headMsMax: settings().patienceMs / silentMembersMax }
    const { ownership } = view
    const asksUnits = !fill && former.begin(step.member.id, image.id)
    const outcome = await channel.ask({ image, offset, target, rank, hop: hop + 1, fill, asksUnits }, options)
    endAsk()
    health.end()
    if (asksUnits) {
      const units = outcome.kind === 'absent' ? (outcome.units ?? null) : null
      if (former.end(step.member.id, image.id, units, ownership)) this.#parts.onFormerUnits(image.id)
    }
    if (outcome.kind === 'bytes') {
      this.#movedMs = now()
      budget.earn()
      originBudget.earn(view.members.length)
      health.answered(target.length, now() - startMs, outcome.wasBrought)
    } else if (outcome.kind === 'busy' || outcome.kind === 'absent') health.refused()
    else if (outcome.kind === 'silent') health.failed('no answer in time')
    else if (outcome.kind !== 'aborted') health.failed(outcome.why)
    return { step, outcome }
  }

  /** A read waits for busy members while the group moves: an answer comes to this host now and then. */
  #mayWait(startMs: number): boolean {
    const nowMs = this.#parts.now()
    return nowMs - startMs < waitMsMax && nowMs - Math.max(startMs, this.#movedMs) < groupMovesMs
  }

  /** Bytes that a member has to bring are late by the origin's own time: that says nothing of the member. */
  #isOriginSooner({ member }: AskStep, bytes: number): boolean {
    const { originPace, peerOf, settings } = this.#parts
    if (!settings().prefersSooner) return false
    const [origin, other] = [originPace.knownMs(bytes), peerOf(member).health.heldMs(bytes)]
    return origin !== null && other !== null && origin * soonerFactor < other
  }

  #hedgeMs(member: KnownMember, bytes: number): number {
    const slowMs = this.#parts.peerOf(member).health.quantile(bytes, 0.99) ?? 0
    return Math.max(memberHedgeMsMin, Math.ceil(slowMs * hedgeFactor))
  }

  #pause(signal: CancelSignal): Promise<void> {
    const { after, random } = this.#parts
    return new Promise((resolve, reject) => {
      const leave = () => {
        cancel()
        reject(abortedBy(signal))
      }
      const cancel = after(refusedMsMin + random() * (refusedMsMax - refusedMsMin), () => {
        signal.removeEventListener('abort', leave)
        resolve()
      })
      signal.addEventListener('abort', leave, { once: true })
    })
  }
}

/** The same for this host and unit, and different from others'. */
function drawOf(own: string, imageId: string, unit: number): number {
  let hash = 0x811c9dc5 ^ unit
  for (const text of [own, imageId]) {
    for (let k = 0; k < text.length; k++) hash = Math.imul(hash ^ text.charCodeAt(k), 0x01000193)
  }
  return (hash >>> 0) / 2 ** 32
}
