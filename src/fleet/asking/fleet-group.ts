/**
 * Fleet group: this host's part in a group. It follows the registry, keeps the view, knows the members' health, and
 * wraps origins so that their reads ask members first.
 */

import { PeriodicTask } from '../../async/periodic-task.ts'
import type { RunAfter, RunEvery } from '../../async/timers.ts'
import type { Logger } from '../../base/logger.ts'
import type { UnitPermitTables } from '../../native/unit-permits.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import { GroupView, type KnownMember } from '../group/group-view.ts'
import { joiningMs } from '../group/limits.ts'
import type { Member } from '../group/member.ts'
import type { MemberRegistry } from '../registry/registry.ts'
import { FleetCounters } from './fleet-counters.ts'
import { FleetOrigin } from './fleet-origin.ts'
import { type FleetStatus, type MemberStatus, memberStatusOf, type UnitExplanation } from './fleet-status.ts'
import { FormerOwnerUnits } from './former-owner-units.ts'
import type { GroupPromotionCounters } from './group-promotion.ts'
import { HedgeBudget } from './hedge-budget.ts'
import { permitsEveryMs } from './limits.ts'
import type { MemberChannel, MemberMessages } from './member-channel.ts'
import { MemberLocations } from './member-locations.ts'
import { MemberVersions } from './member-versions.ts'
import { OriginPace } from './origin-pace.ts'
import { OriginRelay } from './origin-relay.ts'
import { PeerTable } from './peer-table.ts'
import { PermittedUnits } from './permitted-units.ts'
import { type OwnProfiles, ProfileExchange } from './profile-exchange.ts'
import { ReadsInFlight } from './reads-in-flight.ts'
import { RelayedLookups } from './relayed-lookups.ts'
import { type OriginReach, RelayedOrigin } from './relayed-origin.ts'
import { ReplicaCounts } from './replica-counts.ts'
import { SecondHandAudit, type SecondHandCounters, type SecondHandUnit } from './second-hand-audit.ts'
import { type UnitRange, UnitReader } from './unit-reader.ts'
import type { ViewFile } from './view-file.ts'

/** Settings that may change while the group is open. */
export interface AskSettings {
  readonly patienceMs: number
  readonly hedgeShare: number
  readonly prefersSooner: boolean
}

export interface FleetGroupContext {
  readonly name: string
  /** Ourselves; null: this host asks and does not serve. */
  readonly own: Member | null
  readonly rack: string
  readonly blockBytes: number
  readonly registry: MemberRegistry
  readonly viewFile: Pick<ViewFile, 'read' | 'keep' | 'settled'>
  readonly settings: AskSettings
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  readonly after: RunAfter
  /** Other than the timers of the process. */
  readonly every?: RunEvery
  readonly random: () => number
  /** crc32c. */
  sumOf(bytes: Uint8Array): number
  openChannel(member: Member): MemberChannel
  readonly permitTables: UnitPermitTables
  /** Boot profiles that this host keeps for others. */
  readonly ownProfiles: OwnProfiles
  /** Bytes of images that a member was sent by this host. */
  sentTo(memberId: string): number
  /** Blocks that a liar sent are to leave the cache. */
  dropMemberUnits(units: readonly SecondHandUnit[]): void
}

export class FleetGroup {
  readonly #parts: FleetGroupContext
  readonly view: GroupView
  /** Reads of this host that go on: of origins, and of members that bring the bytes. */
  readonly originReads = new ReadsInFlight()
  readonly memberReads = new ReadsInFlight()
  readonly profiles: ProfileExchange
  readonly locations: MemberLocations
  readonly #versions: MemberVersions
  readonly #peers: PeerTable
  /** See {@link PermittedUnits}. */
  readonly permits: PermittedUnits
  readonly #permitsTask: PeriodicTask
  readonly #former: FormerOwnerUnits
  readonly #budget: HedgeBudget
  readonly #originBudget: HedgeBudget
  readonly #counters = new FleetCounters()
  readonly #replicas: ReplicaCounts
  /** By URL, as what a member sent stays known when its origin is opened anew. */
  readonly #audits = new Map<string, SecondHandAudit>()
  readonly #audited = new Map<string, Origin>()
  #settings: AskSettings
  #reads = 0
  #onSharing: (isShared: boolean) => void = () => {}
  /** Milliseconds since 1970, for later starts; null: it never was one. */
  #memberSince: number | null = null
  /** By the clock that never goes back. */
  #joiningUntilMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  private constructor(parts: FleetGroupContext) {
    this.#parts = parts
    this.#settings = parts.settings
    this.#budget = new HedgeBudget(parts.settings.hedgeShare)
    this.#originBudget = new HedgeBudget(parts.settings.hedgeShare)
    this.#replicas = new ReplicaCounts(parts.now)
    const { own, blockBytes, rack, now } = parts
    this.view = new GroupView({ own, blockBytes, rack, now })
    this.#peers = new PeerTable({ view: this.view, now, openChannel: member => parts.openChannel(member) })
    this.#former = new FormerOwnerUnits(this.view)
    this.permits = new PermittedUnits({
      former: this.#former,
      ...{ tables: parts.permitTables, view: this.view, blockBytes },
      isJoining: () => this.#isJoining,
      onNative: (image, unit, { length }) => this.#counters.fromOrigin('own', image.id, unit, length),
    })
    this.#permitsTask = new PeriodicTask(permitsEveryMs, () => this.permits.revise(), parts.every)
    const members = {
      ...{ view: this.view, logger: parts.logger },
      messagesOf: (member: KnownMember) => this.messagesOf(member),
      isUsable: (member: KnownMember) => this.#peers.isUsable(member),
    }
    this.profiles = new ProfileExchange({ ...members, own: parts.ownProfiles })
    this.#versions = new MemberVersions({ ...members, after: parts.after })
    this.locations = new MemberLocations({
      view: this.view,
      blockBytes,
      peerOf: member => this.#peers.of(member),
      statusOf: member => this.#statusOf(member),
      onLie: (member, reason) => this.#lied(member, reason),
      now,
    })
  }

  /** A group whose members of an earlier start are known; the registry is followed from now on. */
  static async open(parts: FleetGroupContext): Promise<FleetGroup> {
    const group = new FleetGroup(parts)
    const remembered = await parts.viewFile.read()
    group.#startJoining(remembered.memberSince)
    if (remembered.members.length > 0) group.view.update(remembered.members, true)
    group.permits.revise()
    group.#permitsTask.start()
    parts.registry.register(parts.own)
    parts.registry.watch({
      onMembers: members => group.#listed(members),
      onHeard: () => {
        group.view.heard()
        group.#tellSharing()
      },
    })
    return group
  }

  /** Do members other than this host take part in reads? */
  get hasOthers(): boolean {
    return this.view.members.length > (this.view.own ? 1 : 0)
  }

  /** Does this host know that a member has ranks? */
  hasRanks(memberId: string): boolean {
    const member = this.view.find(memberId)
    return member?.state === 'up' && !member.isVanished
  }

  /** Is that the id of this host? */
  isOwn(memberId: string): boolean {
    return memberId === this.view.own?.id
  }

  /**
   * Does that member rank before this host for a unit, as this host sees it? Its question comes against the order: by
   * its own view it ranks behind. Bytes that this host would ask of it are not to be brought for it.
   */
  ranksBefore(memberId: string, imageId: string, unit: number): boolean {
    const { near, far } = this.view.ranks(imageId, unit)
    const order = (far ?? near).map(({ id }) => id)
    const [own, other] = [order.indexOf(this.view.own?.id ?? ''), order.indexOf(memberId)]
    return other >= 0 && (own < 0 || other < own)
  }

  /** Calls `then` now and at each change of {@link hasOthers}, as far as the registry tells of it. */
  followSharing(then: (isShared: boolean) => void): void {
    this.#onSharing = then
    then(this.hasOthers)
  }

  /** Why a location elsewhere that has this URL is not read as one; null: it is no member's. */
  refusalOf({ origin }: URL): string | null {
    const isMember = this.view.members.some(({ url }) => new URL(url).origin === origin)
    return isMember ? 'a member of the group: it is asked as one' : null
  }

  /** An origin whose reads ask members first. */
  wrap(inner: Origin, reach: OriginReach): Origin {
    const { now, after, random, blockBytes } = this.#parts
    const originPace = new OriginPace()
    const secondHand = this.#auditsOf(inner)
    const asks = {
      ...{ view: this.view, now, after, settings: () => this.#settings },
      peerOf: (member: KnownMember) => this.#peers.of(member),
      isUsable: (member: KnownMember) => this.#peers.isUsable(member),
      onBytes: ({ id }: KnownMember, { image, unit, offset, target, isProven }: UnitRange) => {
        this.#counters.fromMember(id, image.id, unit, target.length)
        if (!isProven) secondHand.received(id, image, unit, offset, target, blockBytes)
      },
      onAsk: ({ image, offset, target }: UnitRange) => this.memberReads.begin(image.id, offset, target.length),
    }
    const relay = new OriginRelay({ ...asks, blockBytes })
    const reader = new UnitReader({
      ...asks,
      replicas: this.#replicas,
      budget: this.#budget,
      originBudget: this.#originBudget,
      originPace,
      isJoining: () => this.#isJoining,
      former: this.#former,
      onFormerUnits: imageId => this.permits.told(imageId),
      random,
    })
    return new FleetOrigin(inner, {
      blockBytes,
      reader,
      originPace,
      originReads: this.originReads,
      reached: new RelayedOrigin({ inner, reach, relay, now, after }),
      names: new RelayedLookups({ inner, reach, versions: this.#versions, after }),
      now,
      sharesImage: () => this.hasOthers,
      onOrigin: (reason, { image, unit, target }) => {
        this.#counters.fromOrigin(reason, image.id, unit, target.length)
      },
      onDisputed: (imageId, units) => {
        const senders = units.map(unit => this.#counters.takeMemberOf(imageId, unit)).filter(id => id !== null)
        for (const id of new Set(senders)) {
          const member = this.view.find(id)
          if (member) this.#peers.of(member).health.failed('its bytes do not fit the hash tree of their image')
        }
        return senders.length > 0
      },
      onReads: change => {
        this.#reads += change
      },
    })
  }

  /** Others are told, and give this host no ranks from then on; it serves and asks as before. */
  leave(): void {
    const own = this.view.own
    if (own === null || own.state === 'leaving') return
    const leaving: Member = { ...own, state: 'leaving' }
    this.view.setOwn(leaving)
    this.permits.revise()
    this.#parts.registry.register(leaving)
  }

  /** Other settings; channels are opened anew, so that certificates and tokens are read again. */
  reconfigure(settings: AskSettings): void {
    this.#settings = settings
    for (const budget of [this.#budget, this.#originBudget]) budget.setShare(settings.hedgeShare)
    this.#peers.reopen()
  }

  /** Members by their channels, for work that is not a read. */
  messagesOf(member: KnownMember): MemberMessages {
    return this.#peers.of(member).channel
  }

  /** The responsibility for a unit, and its last source. */
  explain(imageId: string, unit: number): UnitExplanation {
    const { near, far } = this.view.ranks(imageId, unit)
    const ranks = [...new Set([...near, ...(far ?? [])].map(({ id }) => id))]
    const ownRank = ranks.indexOf(this.view.own?.id ?? '')
    const answeredBy = this.#counters.answerOf(imageId, unit)
    return { unit, ranks: ranks.slice(0, 4), ownRank: ownRank < 0 ? null : ownRank, answeredBy }
  }

  /** @param promotions that operators began here */
  status(promotions: GroupPromotionCounters = { complete: 0, incomplete: 0 }): FleetStatus {
    const { name, registry } = this.#parts
    const { ageMs, own, refused } = this.view
    return {
      group: name,
      registry: registry.state,
      ownId: own?.id ?? null,
      state: own?.state ?? null,
      viewAgeSeconds: ageMs === null ? null : Math.round(ageMs / 1000),
      members: this.view.members.map(member => this.#statusOf(member)),
      refusedMembers: refused,
      memberBytes: this.#counters.memberBytes,
      originBytes: this.#counters.originBytes,
      originReads: this.#counters.originReads,
      offload: this.#counters.offload,
      native: this.permits.counters,
      hedges: sumOfBudgets(this.#budget.counters, this.#originBudget.counters),
      audits: this.#auditCounters(),
      profiles: this.profiles.counters,
      versions: this.#versions.counters,
      promotions,
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const audits of this.#audits.values()) audits.close()
    await this.profiles.close()
    await this.#parts.registry.close()
    this.#permitsTask.stop()
    this.permits.close()
    await this.#peers.close()
    await this.#parts.viewFile.settled()
  }

  #tellSharing(): void {
    if (!this.#isClosed) this.#onSharing(this.hasOthers)
  }

  get #isJoining(): boolean {
    return this.#parts.now() < this.#joiningUntilMs
  }

  /** The clock of the day is looked at once: one that is set back or ahead later makes no new member of this host. */
  #startJoining(memberSince: number | null): void {
    if (memberSince === null && !this.#parts.own) return
    const wallMs = this.#parts.wallMs()
    this.#memberSince = Math.min(memberSince ?? wallMs, wallMs)
    this.#joiningUntilMs = this.#parts.now() + joiningMs - (wallMs - this.#memberSince)
  }

  #listed(members: readonly Member[]): void {
    this.view.update(members)
    this.permits.revise()
    this.#peers.forgetUnknown()
    this.#tellSharing()
    this.#parts.viewFile.keep({ members: this.view.records, memberSince: this.#memberSince })
  }

  #auditsOf(inner: Origin): SecondHandAudit {
    const { url } = inner
    this.#audited.set(url, inner)
    const known = this.#audits.get(url)
    if (known) return known
    const { logger, random, sumOf, dropMemberUnits, every } = this.#parts
    const audits = new SecondHandAudit({
      logger,
      random,
      ...(every ? { every } : {}),
      sumOf,
      isIdle: () => this.#reads === 0,
      readOrigin: (image, offset, target, signal) =>
        this.#audited.get(url)!.read(image, offset, target, { signal, isOptional: true }),
      onLie: (id, reason, units) => {
        const member = this.view.find(id)
        if (member) this.#peers.of(member).health.lied(reason)
        dropMemberUnits(units)
      },
    })
    this.#audits.set(url, audits)
    audits.start()
    return audits
  }

  /** All that it sent is dropped. */
  #lied(member: KnownMember, reason: string): void {
    const units = [...this.#audits.values()].flatMap(audits => audits.takeUnitsOf(member.id))
    const facts = { member: member.id, reason, units: units.length }
    this.#parts.logger.error(facts, 'fleet member differs from the origin: it is asked no more, its blocks are dropped')
    this.#peers.of(member).health.lied(reason)
    this.#parts.dropMemberUnits(units)
  }

  #auditCounters(): SecondHandCounters {
    const sum = { compared: 0, different: 0, leftOut: 0, forgottenUnits: 0 }
    for (const { counters } of this.#audits.values()) {
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += counters[key]
    }
    return sum
  }

  #statusOf(member: KnownMember): MemberStatus {
    const isOwn = member.id === this.view.own?.id
    const health = isOwn ? null : this.#peers.healthOf(member.id)
    return memberStatusOf(member, health, { isOwn, sentBytes: this.#parts.sentTo(member.id) })
  }
}

function sumOfBudgets(a: HedgeBudget['counters'], b: HedgeBudget['counters']): HedgeBudget['counters'] {
  return { paid: a.paid + b.paid, unpaid: a.unpaid + b.unpaid }
}
