/**
 * Kinds of answers to librbd's asks, in the order of native-bindings/librbd/parent-table.h: it counts by index.
 */
import { type ParentRefusal, parentRefusals } from '../origin/contract/parent-finder.ts'

const own = [
  'resident',
  'partial',
  'absent',
  'unknown',
  'cold',
  'throttled',
  'closing',
  'malformed',
  'mode',
  'pressure',
] as const

/** The first three are answered by path, the others by READ_RADOS. */
export const answerKinds = [...own, ...parentRefusals] as const
export type AnswerKind = (typeof answerKinds)[number]

export type AnswerCounts = Readonly<Record<AnswerKind, number>>

/** The kind of that number. */
export function kindOfNumber(number: number): AnswerKind {
  return answerKinds[number] ?? 'unknown'
}

/** The counts of a responder, by name. */
export function answerCountsOf(counts: readonly number[]): AnswerCounts {
  return Object.fromEntries(answerKinds.map((kind, at) => [kind, counts[at] ?? 0])) as AnswerCounts
}

/** The number by which a responder knows a refusal. */
export function numberOfRefusal(refusal: ParentRefusal): number {
  return parentRefusals.indexOf(refusal)
}
