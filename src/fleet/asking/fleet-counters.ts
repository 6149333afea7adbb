/**
 * Fleet counters: the bytes of reads by their source, and the source of each unit that was read last.
 */
import { LruMap } from '../../base/lru-map.ts'
import { answersMax } from './limits.ts'
import { type OriginReason, originReasons } from './unit-reader.ts'

/** The source of a unit: a member by its id, or the origin and the reason. */
export type UnitAnswer = { readonly member: string } | { readonly origin: OriginReason }

export class FleetCounters {
  readonly #originBytes = Object.fromEntries(originReasons.map(reason => [reason, 0])) as Record<OriginReason, number>
  readonly #originReads = Object.fromEntries(originReasons.map(reason => [reason, 0])) as Record<OriginReason, number>
  readonly #answers = new LruMap<string, UnitAnswer>(answersMax)
  #memberBytes = 0

  get memberBytes(): number {
    return this.#memberBytes
  }

  get originBytes(): Readonly<Record<OriginReason, number>> {
    return { ...this.#originBytes }
  }

  get originReads(): Readonly<Record<OriginReason, number>> {
    return { ...this.#originReads }
  }

  /** The share of the bytes that did not come from the origin; null: none were read yet. */
  get offload(): number | null {
    const origin = Object.values(this.#originBytes).reduce((sum, bytes) => sum + bytes, 0)
    const all = origin + this.#memberBytes
    return all === 0 ? null : this.#memberBytes / all
  }

  fromMember(memberId: string, imageId: string, unit: number, bytes: number): void {
    this.#memberBytes += bytes
    this.#answers.set(`${imageId}/${unit}`, { member: memberId })
  }

  fromOrigin(reason: OriginReason, imageId: string, unit: number, bytes: number): void {
    this.#originBytes[reason] += bytes
    this.#originReads[reason]++
    this.#answers.set(`${imageId}/${unit}`, { origin: reason })
  }

  /** The member that a unit came from last, which is forgotten; null: it was none. */
  takeMemberOf(imageId: string, unit: number): string | null {
    const answer = this.answerOf(imageId, unit)
    if (!answer || !('member' in answer)) return null
    this.#answers.delete(`${imageId}/${unit}`)
    return answer.member
  }

  /** The source of a unit when it was read last; null: that is not known. */
  answerOf(imageId: string, unit: number): UnitAnswer | null {
    return this.#answers.get(`${imageId}/${unit}`) ?? null
  }
}
