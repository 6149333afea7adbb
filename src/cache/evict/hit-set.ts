/**
 * Hit set: the objects that were used in one period, exactly or by a Bloom filter. An object is an image and a number.
 *
 * A set has a bound. An object that comes beyond it is not entered, and counted: the promise about false positives
 * holds for what was entered.
 */
import { BloomHitSet } from './bloom-hit-set.ts'
import { ExplicitHitSet } from './explicit-hit-set.ts'
import { explicitObjectsMax, hitSetObjectsMax, hitSetObjectsMin } from './limits.ts'

/** `none`: nothing is kept. */
export const hitSetTypes = ['bloom', 'explicit', 'none'] as const
export type HitSetType = (typeof hitSetTypes)[number]

export interface HitSetOptions {
  readonly type: HitSetType
  /** Sets that are kept, the current one included. */
  readonly count: number
  readonly periodMs: number
  /** Of a Bloom filter that is full: the share of objects that were not used and seem to be. */
  readonly falsePositives: number
}

export interface HitSet {
  readonly type: HitSetType
  /** Objects that were entered. */
  readonly size: number
  /** Bytes of memory that it takes, about. */
  readonly memoryBytes: number
  /** @returns false when there is no room for it */
  add(imageId: string, object: number): boolean
  has(imageId: string, object: number): boolean
  /** As it is kept in the index. */
  encode(): Buffer
}

/** An empty set. @param objects that the cache can hold */
export function newHitSet({ type, falsePositives }: HitSetOptions, objects: number): HitSet {
  if (type === 'explicit') return new ExplicitHitSet(explicitObjectsMax)
  const wanted = Math.min(hitSetObjectsMax, Math.max(hitSetObjectsMin, 2 * objects))
  return BloomHitSet.sized(wanted, falsePositives)
}

/** @returns null of what is not understood */
export function decodeHitSet(type: string, bytes: Buffer): HitSet | null {
  if (type === 'bloom') return BloomHitSet.decode(bytes)
  return type === 'explicit' ? ExplicitHitSet.decode(bytes, explicitObjectsMax) : null
}
