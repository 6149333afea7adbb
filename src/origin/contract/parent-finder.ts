/**
 * Finder of parents: from the names that librbd has for a clone's parent to an image of an origin.
 */
import type { ParentName } from '../../native/librbd.ts'
import type { ReadOptions } from './origin.ts'

/** Reasons for which objects of a parent are not served, in the order in which they are counted. */
export const parentRefusals = [
  'not-an-origin',
  'gone',
  'striped',
  'encrypted',
  'migrating',
  'unreachable',
  'unsupported',
  'ambiguous',
] as const
export type ParentRefusal = (typeof parentRefusals)[number]

/** A parent as its origin knows it. */
export interface FoundParent {
  /** Its keys, the more exact one first. */
  readonly keys: readonly string[]
  readonly validator: string
  readonly sizeBytes: number
  readonly objectBytes: number
  /** Bit k of the bytes: the parent itself, not a parent of its own, has object k. Null: that is not known. */
  readonly existing: Uint8Array | null
}

export interface ParentFinder {
  /** Of the origin. */
  readonly url: string
  /**
   * @returns null when it is of another place than this origin
   * @throws CacheError as Origin.lookup
   */
  findParent(name: ParentName, options: ReadOptions): Promise<FoundParent | ParentRefusal | null>
  /** Is the snapshot of a parent that was found still there? @throws CacheError when that cannot be told */
  hasParent(name: ParentName, options: ReadOptions): Promise<boolean>
}
