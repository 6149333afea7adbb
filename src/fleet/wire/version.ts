/**
 * Wire format of versions: a host that does not reach the origin asks members for the version that a key means. Each
 * answer is taken for hostile.
 */
import { jsonFieldsOf } from './json-fields.ts'

/** GET, with {@link keyHeader}: the version as the member heard of it from the origin. */
export const versionPath = '/v1/version'

/** Longest answer. */
export const versionBytesMax = 16 * 1024

/** Longest validator that is believed, in characters. */
const validatorCharactersMax = 1_024

/** A version as a member knows it. */
export interface ToldVersion {
  readonly sizeBytes: number
  readonly validator: string
  readonly modifiedMs: number
  /** Milliseconds since the origin said so; null: in an earlier run of the member. */
  readonly ageMs: number | null
  /** Would the member itself still use it without a question? */
  readonly isFresh: boolean
}

/** @returns null for a text that is no version */
export function parseVersion(text: string): ToldVersion | null {
  const fields = jsonFieldsOf(text)
  if (fields === null) return null
  const { sizeBytes, validator, modifiedMs, ageMs, isFresh } = fields
  const isVersion =
    Number.isSafeInteger(sizeBytes) &&
    Number(sizeBytes) >= 0 &&
    typeof validator === 'string' &&
    validator !== '' &&
    validator.length <= validatorCharactersMax &&
    typeof modifiedMs === 'number' &&
    Number.isFinite(modifiedMs) &&
    (ageMs === null || (typeof ageMs === 'number' && Number.isFinite(ageMs) && ageMs >= 0)) &&
    typeof isFresh === 'boolean'
  if (!isVersion) return null
  const facts = { sizeBytes: sizeBytes as number, validator, modifiedMs }
  return { ...facts, ageMs: ageMs as number | null, isFresh }
}
