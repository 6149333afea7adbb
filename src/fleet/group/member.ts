/**
 * Member: one host of a group, and its record in the registry. Each record is taken for hostile.
 */
import { weightMax, weightMin } from './limits.ts'

/** `leaving`: it serves on for a while, and has no ranks. */
export const memberStates = ['up', 'leaving'] as const
export type MemberState = (typeof memberStates)[number]

export interface Member {
  /** The host's id, unique in the group. */
  readonly id: string
  /** Its serving port: `https://host:port`, without a path. */
  readonly url: string
  /** Empty: none. */
  readonly rack: string
  /** Its share of the units: the capacity in TiB. */
  readonly weight: number
  readonly blockBytes: number
  readonly state: MemberState
  /** A mark of its registration, by its own clock: it is never compared with ours. */
  readonly since: number
}

/** Characters of an id: it is part of a key, of a metric and of log lines. */
const plainId = /^[A-Za-z0-9._:[\]-]{1,128}$/

/** May a text be the id of a member? */
export function isMemberId(text: string): boolean {
  return plainId.test(text)
}

/** The record of a member, as the registry keeps it. */
export function formatMember({ id: _, ...record }: Member): string {
  return JSON.stringify({ v: 1, ...record })
}

/** The member of a record; null: the record is none, or of a later format. @param id from the record's key */
export function parseMember(id: string, text: string): Member | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || !isMemberId(id)) return null
  const { v, url, rack, weight, blockBytes, state, since } = value as Readonly<Record<string, unknown>>
  const place = placeOfMember(url)
  const isUsable =
    v === 1 &&
    place !== null &&
    typeof rack === 'string' &&
    rack.length <= 128 &&
    typeof weight === 'number' &&
    Number.isFinite(weight) &&
    Number.isSafeInteger(blockBytes) &&
    memberStates.includes(state as MemberState) &&
    Number.isSafeInteger(since)
  if (!isUsable) return null
  return {
    id,
    url: place,
    rack,
    weight: boundedWeight(weight),
    blockBytes: blockBytes as number,
    state: state as MemberState,
    since: since as number,
  }
}

/** A weight that is believed: all hosts must rank with the same one. */
export function boundedWeight(weight: number): number {
  return Math.min(weightMax, Math.max(weightMin, weight))
}

/** The serving port in a URL; null: it is none that may be asked. */
export function placeOfMember(url: unknown): string | null {
  if (typeof url !== 'string' || url.length > 512 || !URL.canParse(url)) return null
  const { protocol, origin, username, password } = new URL(url)
  const isPlain = username === '' && password === ''
  return isPlain && (protocol === 'https:' || protocol === 'http:') ? origin : null
}
