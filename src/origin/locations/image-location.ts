/**
 * Image location: a place of an image with its figures and its state, for operators.
 */
import type { LocationFigures } from './location.ts'

/** The origin itself, one of the configuration, one that the image service tells, a member of the group. */
export type LocationKind = 'origin' | 'configured' | 'told' | 'member'

/**
 * - `unknown`: not compared yet, and not read
 * - `unusable`: never read, for its reason
 */
export type LocationState = 'origin' | 'unknown' | 'good' | 'away' | 'quarantined' | 'unusable'

export interface ImageLocation extends LocationFigures {
  readonly kind: LocationKind
  readonly state: LocationState
  /** It is read next; of members, each for its units. */
  readonly isRead: boolean
  /** Bytes of the image that are there; null: not known. */
  readonly heldBytes: number | null
  /** Why it is not read; empty where it may be. */
  readonly reason: string
}
