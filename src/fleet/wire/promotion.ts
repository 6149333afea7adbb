/**
 * Wire format of promotions by a group: a member is asked for its part of an image again and again, and answers with
 * its progress. A member that is not asked any more stops.
 */
import { jsonFieldsOf } from './json-fields.ts'
import { imagePath } from './wire.ts'

/** `own`: the units that the member owns; `all`: the whole image. */
export const promotionParts = ['own', 'all'] as const
export type PromotionPart = (typeof promotionParts)[number]

/** The progress of one member. */
export interface PromotionState {
  readonly state: 'running' | 'done' | 'failed'
  /** Bytes of the part that are there, those that were before included. */
  readonly doneBytes: number
  readonly totalBytes: number
  /** Bytes that the promotion brought. */
  readonly promotedBytes: number
  /** Is the whole image there? */
  readonly complete: boolean
  /** Why it failed; empty: it did not. */
  readonly reason: string
}

/** POST: begin a part, or hear of it. */
export function promotePath(imageId: string, part: PromotionPart): string {
  return `${imagePath(imageId)}/promote?part=${part}`
}

/** @returns null for a text that is no state */
export function parsePromotionState(text: string): PromotionState | null {
  const fields = jsonFieldsOf(text)
  if (fields === null) return null
  const { state, doneBytes, totalBytes, promotedBytes, complete, reason } = fields
  const isState = state === 'running' || state === 'done' || state === 'failed'
  const areCounts = [doneBytes, totalBytes, promotedBytes].every(
    each => Number.isSafeInteger(each) && Number(each) >= 0,
  )
  if (!isState || !areCounts || typeof complete !== 'boolean' || typeof reason !== 'string') return null
  const counts = { doneBytes: doneBytes as number, totalBytes: totalBytes as number }
  return { state, ...counts, promotedBytes: promotedBytes as number, complete, reason: reason.slice(0, 1_000) }
}
