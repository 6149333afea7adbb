/**
 * Origin relay: bytes of an origin that this host cannot reach, by way of a member that can.
 *
 * A relayed question has passed all members that it may: the member that hears it asks its store and its own origin,
 * and no further member, so that no circle can form. A member whose origin is away, too, refuses at once. Beside one
 * that says nothing the next one is asked: a silent member costs half a second, and is asked last after some times.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { RunAfter } from '../../async/timers.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { throwIfAborted } from '../../base/errors.ts'
import type { GroupView, KnownMember } from '../group/group-view.ts'
import { hopsMax, unitBlocks } from '../wire/wire.ts'
import { relayedAtOnceMax, relayedMembersMax, relayMsMax, relayNextMs } from './limits.ts'
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

  /** Members one after the other, and the next one beside one that takes long. */
  async #readUnit(range: UnitRange, caller: CancelSignal): Promise<boolean> {
    const { after, onBytes, peerOf } = this.#parts
    const members = this.#membersFor(range)
    const all = new LightAbortSignal(caller)
    const asked = new Map<number, KnownMember>()
    let isOver = false
    let cancelNext = () => {}
    const found = await new Promise<Relayed | null>(resolve => {
      let next = 0
      const askNext = () => {
        cancelNext()
        const member = members[next]
        if (member && asked.size < relayedAtOnceMax) {
          const rank = next++
          asked.set(rank, member)
          cancelNext = after(relayNextMs, askNext)
          void this.#ask(member, rank, range, all).then(bytes => ended(rank, bytes && { member, rank, bytes }))
        } else if (asked.size === 0) resolve(null)
      }
      const ended = (rank: number, relayed: Relayed | null) => {
        asked.delete(rank)
        if (relayed || caller.aborted) resolve(relayed)
        else if (!isOver) askNext()
      }
      askNext()
    })
    isOver = true
    cancelNext()
    all.abort()
    all.end()
    throwIfAborted(caller)
    if (!found) return false
    for (const [rank, member] of asked) if (rank < found.rank) peerOf(member).health.late()
    range.target.set(found.bytes)
    onBytes(found.member, range)
    return true
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

  /** @returns null where the member has none in its time. Never rejects */
  async #ask(member: KnownMember, rank: number, range: UnitRange, caller: CancelSignal): Promise<Uint8Array | null> {
    const { peerOf, now, after, settings, onAsk } = this.#parts
    const { channel, health } = peerOf(member)
    const { image, offset } = range
    const target = Buffer.allocUnsafeSlow(range.target.length)
    const signal = new LightAbortSignal(caller)
    const cancel = after(relayMsMax, () => signal.abort())
    const startMs = now()
    health.begin()
    const end = onAsk(range)
    const asked = { image, offset, target, rank, hop: hopsMax, fill: true }
    const outcome = await channel.ask(asked, { signal, headMsMax: settings().patienceMs })
    end()
    health.end()
    cancel()
    signal.end()
    if (outcome.kind === 'bytes') {
      health.answered(target.length, now() - startMs)
      return target
    }
    if (outcome.kind === 'busy' || outcome.kind === 'absent') health.refused()
    else if (outcome.kind === 'silent') health.failed('no answer in time')
    else if (outcome.kind !== 'aborted') health.failed(outcome.why)
    else if (!caller.aborted) health.late()
    return null
  }
}

/** Bytes that a member has brought. */
interface Relayed {
  readonly member: KnownMember
  readonly rank: number
  readonly bytes: Uint8Array
}
