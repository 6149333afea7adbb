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
}

export function hashMembers<M extends Ranked>(members: readonly M[]): HashedMembers<M> {
  const seeds = new Uint32Array(members.length * 2)
  members.forEach(({ id }, at) => {
    const digest = createHash('sha256').update(id).digest()
    seeds[2 * at] = digest.readUInt32LE(0)
    seeds[2 * at + 1] = digest.readUInt32LE(4)
  })
  return { members, seeds }
}

/**
 * The first members of a unit, at most {@link ranksMax}, the owner first.
 * @param imageId 32 hex digits
 */
export function ranksOf<M extends Ranked>({ members, seeds }: HashedMembers<M>, imageId: string, unit: number): M[] {
  const [a, b] = unitSeeds(imageId, unit)
  const best: number[] = []
  const scores: number[] = []
  for (let at = 0; at < members.length; at++) {
    const score = scoreOf(seeds[2 * at]! ^ a, seeds[2 * at + 1]! ^ b, members[at]!.weight)
    if (best.length === ranksMax && score >= scores[ranksMax - 1]!) continue
    let place = best.length === ranksMax ? ranksMax - 1 : best.length
    for (; place > 0 && isBefore(score, members[at]!, scores[place - 1]!, members[best[place - 1]!]!); place--) {
      scores[place] = scores[place - 1]!
      best[place] = best[place - 1]!
    }
    scores[place] = score
    best[place] = at
  }
  return best.map(at => members[at]!)
}

/** Is the member at that place the owner of a unit? Soon over for most units of others. */
export function isFirst<M extends Ranked>(
  { members, seeds }: HashedMembers<M>,
  own: number,
  imageId: string,
  unit: number,
): boolean {
  const [a, b] = unitSeeds(imageId, unit)
  const scoreAt = (at: number) => scoreOf(seeds[2 * at]! ^ a, seeds[2 * at + 1]! ^ b, members[at]!.weight)
  const ownScore = scoreAt(own)
  for (let at = 0; at < members.length; at++) {
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

function scoreOf(a: number, b: number, weight: number): number {
  const high = mix(a ^ mix(b))
  const low = mix(b ^ Math.imul(high, 0x9e3779b1))
  // In (0, 1): 52 bits and a half.
  const h = ((high >>> 0) * 2 ** 20 + (low >>> 12) + 0.5) / 2 ** 52
  return -Math.log(h) / weight
}

/** The finalizer of MurmurHash3. Source: Austin Appleby, MurmurHash3.cpp, fmix32. */
function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
