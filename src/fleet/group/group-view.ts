/**
 * Group view: the members as this host knows them, and the ranks of each unit.
 *
 * The view never shrinks because a registry is silent. A member that vanished from a list keeps its ranks for some
 * minutes; health is judged by reads. Ranks are remembered by unit until the view changes.
 */
import { LruMap } from '../../base/lru-map.ts'
import { membersListedMax, membersMax, rankedUnitsMax, vanishedMsMax } from './limits.ts'
import type { Member } from './member.ts'
import { type HashedMembers, hashMembers, isFirst, ranksOf } from './rendezvous.ts'

/** A member and our knowledge of it. */
export interface KnownMember extends Member {
  /** It is listed no more, and only keeps its ranks. Absent where it is listed, so that its record is the member. */
  readonly isVanished?: true
}

export interface GroupViewContext {
  /** Ourselves; null: this host asks and does not serve. */
  readonly own: Member | null
  readonly blockBytes: number
  readonly rack: string
  /** Milliseconds, never going back. */
  readonly now: () => number
}

/** The view, hashed for ranks. */
interface Tables {
  readonly all: readonly KnownMember[]
  /** Those that have ranks. */
  readonly ranked: HashedMembers<KnownMember>
  /** Those of our rack; null where all are, or none is. */
  readonly near: HashedMembers<KnownMember> | null
  /** Those that have ranks, and those that had before they began to leave; null where none is leaving. */
  readonly before: HashedMembers<KnownMember> | null
  /** They are made anew then: a vanished member's time is over. */
  readonly goodUntilMs: number
  /** The place of this host in {@link before}, or in {@link ranked} where that is null; -1: it has no ranks. */
  readonly ownAt: number
  /** See {@link GroupView.ownership}. */
  readonly ownership: number
}

/** The order of a unit's members. */
export interface UnitRanks {
  /** Within our rack, where racks are given, else of the group. */
  readonly near: readonly KnownMember[]
  /** Of the group; null: {@link near} is of the group. */
  readonly far: readonly KnownMember[] | null
  /** Members that are leaving and owned it before, in their order; none when absent. */
  readonly leaving?: readonly KnownMember[]
}

interface Vanished {
  readonly member: KnownMember
  readonly sinceMs: number
}

export class GroupView {
  readonly #parts: GroupViewContext
  /** The others that are listed, and those that were; no member is in both. */
  #listed: ReadonlyMap<string, Member> = new Map()
  readonly #vanished = new Map<string, Vanished>()
  #ranks = new LruMap<string, UnitRanks>(rankedUnitsMax)
  #own: Member | null
  #tables: Tables | null = null
  /** The last ones: what they share with the next is kept. */
  #before: Tables | null = null
  #refused = 0
  /** Are there so many others before us that we have no ranks? */
  #isOwnOver = false
  #revision = 0
  #heardMs: number | null = null

  constructor(parts: GroupViewContext) {
    this.#parts = parts
    this.#own = parts.own
  }

  /** Ourselves, as the others are told; null: this host does not serve. */
  get own(): Member | null {
    return this.#own
  }

  /** Other facts of ourselves. */
  setOwn(own: Member | null): void {
    this.#own = own
    this.#change()
  }

  /** Counts the changes of the view. */
  get revision(): number {
    return this.#revision
  }

  /** Members that were left out: over the bound, or with another block size. */
  get refused(): number {
    return this.#refused
  }

  /** Milliseconds since the registry was heard of; null: it never was. */
  get ageMs(): number | null {
    return this.#heardMs === null ? null : this.#parts.now() - this.#heardMs
  }

  /** The registry answers, and the list is as it was. */
  heard(): void {
    this.#heardMs = this.#parts.now()
  }

  /** All members that are known, ourselves included, by id. */
  get members(): readonly KnownMember[] {
    return this.#current().all
  }

  find(id: string): KnownMember | null {
    this.#current()
    return (this.#own?.id === id ? this.#own : this.#listed.get(id)) ?? this.#vanished.get(id)?.member ?? null
  }

  /** Records for a later start: members that are listed. */
  get records(): readonly Member[] {
    return [...this.#listed.values()]
  }

  /**
   * A list of the registry.
   * @param isRemembered of an earlier start: it says nothing about now
   */
  update(listed: readonly Member[], isRemembered = false): void {
    const { blockBytes, now } = this.#parts
    const own = this.#own
    if (!isRemembered) this.heard()
    const usable = listed.filter(member => member.blockBytes === blockBytes && member.id !== own?.id)
    const kept = firstOf(usable, own)
    const isOwnOver = own !== null && !kept.includes(own)
    const before = this.#listed
    const byId = new Map<string, Member>()
    for (const member of kept) if (member.id !== own?.id) byId.set(member.id, sameOf(member, before.get(member.id)))
    this.#refused = listed.filter(({ id }) => id !== own?.id).length - byId.size
    let isOther = isOwnOver !== this.#isOwnOver || byId.size !== before.size
    for (const [id, member] of before) {
      if (byId.has(id)) continue
      this.#vanished.set(id, { member: { ...member, isVanished: true }, sinceMs: now() })
      isOther = true
    }
    for (const [id, member] of byId) {
      this.#vanished.delete(id)
      isOther ||= before.get(id) !== member
    }
    for (const id of this.#vanished.keys()) {
      if (byId.size + this.#vanished.size <= membersListedMax) break
      this.#vanished.delete(id)
    }
    this.#isOwnOver = isOwnOver
    this.#listed = byId
    if (isOther) this.#change()
  }

  /** The ranks of a unit, ourselves included. */
  ranks(imageId: string, unit: number): UnitRanks {
    const { ranked, near, before } = this.#current()
    const key = `${imageId}/${unit}`
    const known = this.#ranks.use(key)
    if (known) return known
    const all = ranksOf(ranked, imageId, unit)
    const leaving = before ? { leaving: leavingFirst(ranksOf(before, imageId, unit)) } : {}
    const own = near ? { near: ranksOf(near, imageId, unit), far: all } : { near: all, far: null }
    const ranks: UnitRanks = { ...own, ...leaving }
    this.#ranks.set(key, ranks)
    return ranks
  }

  /** Is this host the first rank of a unit in the whole group? Nothing is remembered. */
  owns(imageId: string, unit: number): boolean {
    const { ranked, ownAt } = this.#current()
    return ownAt >= 0 && isFirst(ranked, ownAt, imageId, unit)
  }

  /** Does it own a unit that nobody who is leaving owned before? Nothing is remembered. */
  ownsAlone(imageId: string, unit: number): boolean {
    const { ranked, before, ownAt } = this.#current()
    return ownAt >= 0 && isFirst(before ?? ranked, ownAt, imageId, unit)
  }

  /** Counts the changes of the members that have ranks and of their weights: while it stays, owners do. */
  get ownership(): number {
    return this.#current().ownership
  }

  #change(): void {
    this.#before = this.#tables ?? this.#before
    this.#tables = null
  }

  #current(): Tables {
    const nowMs = this.#parts.now()
    if (this.#tables && nowMs < this.#tables.goodUntilMs) return this.#tables
    const former = this.#tables ?? this.#before
    this.#before = null
    let goodUntilMs = Number.POSITIVE_INFINITY
    const all: KnownMember[] = [...this.#listed.values()]
    if (this.#own) all.push(this.#own)
    for (const [id, { member, sinceMs }] of this.#vanished) {
      if (nowMs - sinceMs >= vanishedMsMax) {
        this.#vanished.delete(id)
        continue
      }
      goodUntilMs = Math.min(goodUntilMs, sinceMs + vanishedMsMax)
      all.push(member)
    }
    all.sort((a, b) => (a.id < b.id ? -1 : 1))
    const over = this.#isOwnOver ? this.#own?.id : null
    const ranked = all.filter(({ id, state }) => state === 'up' && id !== over)
    const near = ranked.filter(({ rack }) => rack !== '' && rack === this.#parts.rack)
    const hasRacks = near.length > 0 && near.length < ranked.length
    this.#ranks = new LruMap(rankedUnitsMax)
    this.#revision++
    const leaving = all.filter(({ state }) => state !== 'up')
    // The ranked ones come first: a host that is leaving has no place.
    const before = leaving.length > 0 ? hashMembers([...ranked, ...leaving]) : null
    const isSame =
      former !== null && haveSameOwners((former.before ?? former.ranked).members, before?.members ?? ranked)
    this.#tables = {
      all,
      ranked: hashMembers(ranked),
      near: hasRacks ? hashMembers(near) : null,
      before,
      ownAt: ranked.findIndex(({ id }) => id === this.#own?.id),
      goodUntilMs,
      ownership: isSame ? former.ownership : (former?.ownership ?? 0) + 1,
    }
    return this.#tables
  }
}

/** The first ones, up to the one that owns the unit now. */
function leavingFirst(members: readonly KnownMember[]): readonly KnownMember[] {
  const owner = members.findIndex(({ state }) => state === 'up')
  return owner < 0 ? members : members.slice(0, owner)
}

/** The members of the group: the first by their ids, on every host the same. */
function firstOf(others: readonly Member[], own: Member | null): readonly Member[] {
  const all = own ? [...others, own] : others
  if (all.length <= membersMax) return all
  return [...all].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, membersMax)
}

/** The record that is known, where the listed one says the same: it is hashed already. */
function sameOf(listed: Member, known: Member | undefined): Member {
  if (!known || listed === known) return listed
  const isSame = (Object.keys(listed) as (keyof Member)[]).every(fact => listed[fact] === known[fact])
  return isSame ? known : listed
}

function haveSameOwners(some: readonly Member[], others: readonly Member[]): boolean {
  const isSame = (a: Member, b: Member) => a.id === b.id && a.weight === b.weight && a.state === b.state
  return some.length === others.length && some.every((member, at) => isSame(member, others[at]!))
}
