/**
 * Origin relay: bytes of an origin that this host cannot reach, by way of a member that can.
 *
 * A relayed question has passed all members that it may: the member that hears it asks its store and its own origin,
 * and no further member, so that no circle can form. A member whose origin is away, too, refuses at once.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { RunAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { throwIfAborted } from '../../base/errors.ts'
import type { GroupView, KnownMember } from '../group/group-view.ts'
import { hopsMax, unitBlocks } from '../wire/wire.ts'
import { relayedMembersMax, relayMsMax } from './limits.ts'
import type { Peer, UnitRange } from './unit-reader.ts'

export interface OriginRelayContext {
  readonly blockBytes: number
  readonly view: Pick<GroupView, 'own' | 'ranks'>
  peerOf(member: KnownMember): Peer
  isUsable(member: KnownMember): boolean
  settings(): { readonly patienceMs: number }
  readonly now: () => number
  readonly after: RunAfter
  /** A member has brought bytes of a unit. */
  onBytes(member: KnownMember, range: UnitRange): void
  /** A member is asked to bring bytes. @returns the end of that */
  onAsk(range: UnitRange): () => void
}

export class OriginRelay {
  readonly #parts: OriginRelayContext

  constructor(parts: OriginRelayContext) {
    this.#parts = parts
  }

  /**
   * Fill a range, which may be of several units.
   * @returns false where no member could: the target holds garbage then. @throws CacheError aborted
   */
  async read(range: UnitRange, signal: CancelSignal): Promise<boolean> {
    const unitBytes = unitBlocks * this.#parts.blockBytes
    const end = range.offset + range.target.length
    for (let offset = range.offset; offset < end; ) {
      const unit = Math.floor(offset / unitBytes)
      const next = Math.min(end, (unit + 1) * unitBytes)
      const target = range.target.subarray(offset - range.offset, next - range.offset)
      if (!(await this.#readUnit({ ...range, unit, offset, target }, signal))) return false
      offset = next
    }
    return true
  }

  async #readUnit(range: UnitRange, caller: CancelSignal): Promise<boolean> {
    const { after } = this.#parts
    for (const [rank, member] of this.#membersFor(range).entries()) {
      const signal = new LightAbortSignal(caller)
      const cancel = after(relayMsMax, () => signal.abort())
      const isRead = await this.#ask(member, rank, range, signal)
      cancel()
      signal.end()
      throwIfAborted(caller)
      if (isRead) return true
    }
    return false
  }

  /** Members that may be asked, those that failed lately last: without them there may be nobody. */
  #membersFor({ image, unit }: UnitRange): readonly KnownMember[] {
    const { view, isUsable, peerOf } = this.#parts
    const { near, far } = view.ranks(image.id, unit)
    const ranked = new Map([...near, ...(far ?? [])].map(member => [member.id, member]))
    const others = [...ranked.values()].filter(({ id }) => id !== view.own?.id)
    const usable = others.filter(isUsable)
    const failed = others.filter(member => !isUsable(member) && peerOf(member).health.state === 'passed-by')
    return [...usable, ...failed].slice(0, relayedMembersMax)
  }

  async #ask(member: KnownMember, rank: number, range: UnitRange, signal: CancelSignal): Promise<boolean> {
    const { peerOf, now, settings, onBytes, onAsk } = this.#parts
    const { channel, health } = peerOf(member)
    const { image, offset, target } = range
    const startMs = now()
    health.begin()
    const end = onAsk(range)
    const asked = { image, offset, target, rank, hop: hopsMax, fill: true }
    const outcome = await channel.ask(asked, { signal, headMsMax: settings().patienceMs })
    end()
    health.end()
    if (outcome.kind === 'bytes') {
      health.answered(target.length, now() - startMs)
      onBytes(member, range)
      return true
    }
    if (outcome.kind === 'busy' || outcome.kind === 'absent') health.refused()
    else if (outcome.kind === 'silent') health.failed('no answer in time')
    else if (outcome.kind !== 'aborted') health.failed(outcome.why)
    return false
  }
}
