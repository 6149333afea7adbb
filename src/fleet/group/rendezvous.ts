/**
 * Rendezvous hashing: the order in which the members of a group are responsible for a unit of an image. Pure.
 *
 * Each member has a score for each unit, -ln(h)/weight; the smallest is first. A member that comes or goes moves its
 * own units alone. Scores are the same on every host and in every version: they are part of the wire.
 */
import { createHash } from 'node:crypto'
import { ranksMax } from './limits.ts'

/** A member as it is ranked. */
export interface Ranked {
  readonly id: string
  readonly rack: string
  readonly weight: number
}

/** The members' hashes, once for a view. */
export interface HashedMembers<M extends Ranked> {
  readonly members: readonly M[]
  readonly seeds: Uint32Array
  readonly weights: Float64Array
  readonly weightSum: number
}

type Seeds = readonly [number, number]

/** Of each record, as long as it is known: a view that changes in one member hashes one. */
const knownSeeds = new WeakMap<Ranked, Seeds>()

export function hashMembers<M extends Ranked>(members: readonly M[]): HashedMembers<M> {
  const seeds = new Uint32Array(members.length * 2)
  const weights = new Float64Array(members.length)
  let weightSum = 0
  for (const [at, member] of members.entries()) {
    const [first, second] = seedsOf(member)
    seeds[2 * at] = first
    seeds[2 * at + 1] = second
    weights[at] = member.weight
    weightSum += member.weight
  }
  return { members, seeds, weights, weightSum }
}

function seedsOf(member: Ranked): Seeds {
  const known = knownSeeds.get(member)
  if (known) return known
  const digest = createHash('sha256').update(member.id).digest()
  const seeds: Seeds = [digest.readUInt32LE(0), digest.readUInt32LE(4)]
  knownSeeds.set(member, seeds)
  return seeds
}

/**
 * The first members of a unit, at most {@link ranksMax}, the owner first.
 * @param imageId 32 hex digits
 */
export function ranksOf<M extends Ranked>(hashed: HashedMembers<M>, imageId: string, unit: number): M[] {
  const { members, weightSum } = hashed
  const count = Math.min(ranksMax, members.length)
  // So many members are expected below: of a large group most need no logarithm and no place among the first.
  let below = members.length > 2 * ranksMax ? (1.5 * ranksMax) / weightSum : Number.POSITIVE_INFINITY
  for (;;) {
    const best = bestOf(hashed, imageId, unit, below)
    if (best.length === count || below === Number.POSITIVE_INFINITY) return best.map(at => members[at]!)
    below *= 2
  }
}

/** The places of the first members, at most {@link ranksMax}, of those whose score is below. */
function bestOf<M extends Ranked>(hashed: HashedMembers<M>, imageId: string, unit: number, below: number): number[] {
  const { members, seeds, weights } = hashed
  const [a, b] = unitSeeds(imageId, unit)
  const best: number[] = []
  const scores: number[] = []
  let worst = below
  for (let at = 0; at < weights.length; at++) {
    const h = hashOf(seeds[2 * at]! ^ a, seeds[2 * at + 1]! ^ b)
    const weight = weights[at]!
    // -ln(h) is 1 - h or more; a little less is compared, for what is rounded.
    if ((1 - h) * roundedDown > worst * weight) continue
    const score = -Math.log(h) / weight
    if (score >= worst) continue
    let place = best.length === ranksMax ? ranksMax - 1 : best.length
    for (; place > 0 && isBefore(score, members[at]!, scores[place - 1]!, members[best[place - 1]!]!); place--) {
      scores[place] = scores[place - 1]!
      best[place] = best[place - 1]!
    }
    scores[place] = score
    best[place] = at
    if (best.length === ranksMax) worst = scores[ranksMax - 1]!
  }
  return best
}

const roundedDown = 1 - 1e-9

/** Is the member at that place the owner of a unit? Soon over for most units of others. */
export function isFirst<M extends Ranked>(
  { members, seeds, weights }: HashedMembers<M>,
  own: number,
  imageId: string,
  unit: number,
): boolean {
  const [a, b] = unitSeeds(imageId, unit)
  const scoreAt = (at: number) => -Math.log(hashOf(seeds[2 * at]! ^ a, seeds[2 * at + 1]! ^ b)) / weights[at]!
  const ownScore = scoreAt(own)
  for (let at = 0; at < weights.length; at++) {
    if (at !== own && isBefore(scoreAt(at), members[at]!, ownScore, members[own]!)) return false
  }
  return true
}

function unitSeeds(imageId: string, unit: number): readonly [number, number] {
  const a = Number.parseInt(imageId.slice(0, 8), 16) ^ unit
  const b = Number.parseInt(imageId.slice(8, 16), 16) ^ Math.floor(unit / 2 ** 32)
  return [a, b]
}

/** Two of one score are ordered by their ids, everywhere alike. */
function isBefore(score: number, member: Ranked, otherScore: number, other: Ranked): boolean {
  return score < otherScore || (score === otherScore && member.id < other.id)
}

/** In (0, 1): 52 bits and a half. */
function hashOf(a: number, b: number): number {
  const high = mix(a ^ mix(b))
  const low = mix(b ^ Math.imul(high, 0x9e3779b1))
  return ((high >>> 0) * 2 ** 20 + (low >>> 12) + 0.5) / 2 ** 52
}

/** The finalizer of MurmurHash3. Source: Austin Appleby, MurmurHash3.cpp, fmix32. */
function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
