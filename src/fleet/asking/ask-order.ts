/**
 * Ask order: the members that a read of one unit asks, one after the other. Pure.
 *
 * A question that has bytes brought goes to a lower rank than the asker's own, always: no circle can form. The owner
 * asks nobody but former owners, which bring nothing: members that are leaving, and the next ranks when it has just
 * joined. A replica asks its parent in a tree of four. All others begin at a replica that
 * they draw. The last hop goes to the owner, so that a question passes three members at most.
 */
import type { KnownMember, UnitRanks } from '../group/group-view.ts'
import { hopsMax } from '../wire/wire.ts'

export interface AskOrderContext {
  readonly ranks: UnitRanks
  /** Our id in the group; null: we do not serve, and have no rank. */
  readonly ownId: string | null
  /** May a member be asked? Those that may not have no rank meanwhile. */
  readonly isUsable: (member: KnownMember) => boolean
  /** Ranks that are asked, now. */
  readonly replicas: () => number
  /** Members that the question has passed. */
  readonly hop: number
  /** Did we join so lately that others hold our units? */
  readonly isJoining: boolean
  /** May a former owner have the unit, as far as it has told? All may when absent. */
  readonly mayHold?: (member: KnownMember) => boolean
  /** Drawn for this host and unit, in [0, 1). */
  readonly draw: number
  /** Ids of members that this read has asked; the order adds to it. */
  readonly asked: Set<string>
}

export interface AskStep {
  readonly member: KnownMember
  readonly rank: number
  readonly fill: boolean
}

/** Next ranks that a host which has just joined takes for former owners: others may have joined beside it. */
export const formerOwnersMax = 3

/** Children of a rank in the tree of replicas. */
const treeWidth = 4

export class AskOrder {
  readonly #parts: AskOrderContext
  /** Lower ranks than our own; all, where we have none. */
  readonly #lower: readonly KnownMember[]
  /** Our rank; null: none of the computed ones. */
  readonly rank: number | null
  /** Those that may hold what we own now. */
  readonly #former: readonly AskStep[]

  constructor(parts: AskOrderContext) {
    this.#parts = parts
    const { ranks, ownId, isUsable, isJoining, hop } = parts
    const usable = (members: readonly KnownMember[]) => members.filter(each => each.id === ownId || isUsable(each))
    const near = usable(ranks.near)
    const nearRank = rankIn(near, ownId)
    // The first of a rack asks the group on behalf of its rack. The last hop goes to the owner of the group.
    const asksGroup = nearRank === 0 || near.length === 0 || hop >= hopsMax - 1
    const members = ranks.far && asksGroup ? usable(ranks.far) : near
    this.rank = rankIn(members, ownId)
    this.#lower = this.rank === null ? members : members.slice(0, this.rank)
    const leaving = this.rank === 0 ? usable(ranks.leaving ?? []).map(member => ({ member, rank: 0, fill: false })) : []
    const next = this.rank === 0 && isJoining ? members.slice(1, 1 + formerOwnersMax) : []
    const former = [...leaving, ...next.map((member, k) => ({ member, rank: k + 1, fill: false }))]
    const { mayHold } = parts
    this.#former = mayHold ? former.filter(({ member }) => mayHold(member)) : former
  }

  /** Is the origin our part, and no member's? */
  get isOrigins(): boolean {
    const hasMember = this.#lower.length > 0 || this.#former.length > 0
    return !hasMember || this.#parts.hop >= hopsMax
  }

  /** The next member; null: all were asked. */
  next(): AskStep | null {
    const { hop } = this.#parts
    const step = hop >= hopsMax ? null : this.rank === 0 ? this.#askFormer() : this.#lowerStep()
    if (step) this.#parts.asked.add(step.member.id)
    return step
  }

  #askFormer(): AskStep | null {
    return this.#former.find(({ member }) => !this.#parts.asked.has(member.id)) ?? null
  }

  #lowerStep(): AskStep | null {
    const { hop, replicas } = this.#parts
    const isReplica = this.rank !== null && this.rank < replicas()
    const order = hop === hopsMax - 1 ? [0] : isReplica ? this.#ofReplica() : this.#drawn()
    for (const rank of order) {
      const member = this.#lower[rank]
      if (member && !this.#parts.asked.has(member.id)) return { member, rank, fill: true }
    }
    return null
  }

  /** The parent and its ancestors, and then all lower ranks. */
  *#ofReplica(): Generator<number> {
    for (let rank = this.rank!; rank > 0; ) {
      rank = Math.floor((rank - 1) / treeWidth)
      yield rank
    }
    for (let rank = 0; rank < this.#lower.length; rank++) yield rank
  }

  /** A replica by lot, and the next ones. */
  *#drawn(): Generator<number> {
    const count = Math.min(this.#parts.replicas(), this.#lower.length)
    const first = Math.floor(this.#parts.draw * count)
    for (let k = 0; k < count; k++) yield (first + k) % count
  }
}

function rankIn(members: readonly KnownMember[], ownId: string | null): number | null {
  const rank = ownId === null ? -1 : members.findIndex(({ id }) => id === ownId)
  return rank < 0 ? null : rank
}
