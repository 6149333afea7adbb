/**
 * Status of a group as one host knows it, for operators.
 */
import type { KnownMember } from '../group/group-view.ts'
import type { Member } from '../group/member.ts'
import type { RegistryState } from '../registry/registry.ts'
import type { UnitAnswer } from './fleet-counters.ts'
import type { GroupPromotionCounters } from './group-promotion.ts'
import type { HedgeBudget } from './hedge-budget.ts'
import type { MemberVersionCounters } from './member-versions.ts'
import type { MemberCounters, PeerHealth, PeerHealthName } from './peer-health.ts'
import type { PermitCounters } from './permitted-units.ts'
import type { ProfileExchangeCounters } from './profile-exchange.ts'
import type { SecondHandCounters } from './second-hand-audit.ts'
import type { OriginReason } from './unit-reader.ts'

/** A member, for operators. */
export interface MemberStatus extends MemberCounters {
  readonly id: string
  readonly url: string
  readonly rack: string
  readonly weight: number
  readonly state: Member['state'] | 'vanished'
  readonly isOwn: boolean
  readonly health: PeerHealthName
  readonly reason: string
  /** The median of its answers to short requests; null: too few are known. */
  readonly latencyMs: number | null
  /** Bytes that this host has sent to it. */
  readonly sentBytes: number
}

export interface FleetStatus {
  readonly group: string
  readonly registry: RegistryState
  /** Null: this host does not serve. */
  readonly ownId: string | null
  readonly state: Member['state'] | null
  /** Seconds since the registry was heard of; null: never. */
  readonly viewAgeSeconds: number | null
  readonly members: readonly MemberStatus[]
  /** Members that the view leaves out: over the bound, or with another block size. */
  readonly refusedMembers: number
  readonly memberBytes: number
  readonly originBytes: Readonly<Record<OriginReason, number>>
  readonly originReads: Readonly<Record<OriginReason, number>>
  readonly offload: number | null
  /** Reads of its own units that session threads made by themselves; `own` above has them, too. */
  readonly native: PermitCounters
  readonly hedges: HedgeBudget['counters']
  readonly audits: SecondHandCounters
  readonly profiles: ProfileExchangeCounters
  readonly versions: MemberVersionCounters
  readonly promotions: GroupPromotionCounters
}

/** The members that are responsible for a unit, for explanations. */
export interface UnitExplanation {
  readonly unit: number
  /** Ids, the owner first. */
  readonly ranks: readonly string[]
  readonly ownRank: number | null
  readonly answeredBy: UnitAnswer | null
}

/** @param health null: it was never asked, or is this host */
export function memberStatusOf(
  { id, url, rack, weight, state, isVanished }: KnownMember,
  health: PeerHealth | null,
  { isOwn, sentBytes }: Pick<MemberStatus, 'isOwn' | 'sentBytes'>,
): MemberStatus {
  const counters = health?.counters ?? { requests: 0, bytes: 0, refusals: 0, failures: 0 }
  return {
    id,
    url,
    rack,
    weight,
    state: isVanished ? 'vanished' : state,
    isOwn,
    health: health?.state ?? 'well',
    reason: health?.reason ?? '',
    latencyMs: health?.quantile(0, 0.5) ?? null,
    sentBytes,
    ...counters,
  }
}
