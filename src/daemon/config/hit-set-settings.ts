/**
 * Settings of hit sets: what is kept of the objects that were used, and what it decides.
 */
import { z } from 'zod'
import { type HitSetOptions, hitSetTypes } from '../../cache/evict/hit-set.ts'
import { hitSetsMax } from '../../cache/evict/limits.ts'
import { choiceField, countField, durationField, shareField } from './setting-fields.ts'

const [second, hour, day] = [1000, 3_600_000, 86_400_000]

export const hitSetFields = {
  hitSet: z
    .strictObject({
      type: choiceField('hit set type', hitSetTypes, 'bloom', {
        live: true,
        what: 'hit sets of this origin: the objects used in one period; bloom: in a Bloom filter; explicit: in a list; none: none are kept',
      }),
      count: countField({ min: 1, max: hitSetsMax }, 4, {
        live: true,
        what: 'hit sets that are kept, the current one included',
      }),
      period: durationField({ min: second, max: 30 * day }, hour, {
        live: true,
        what: 'time of one hit set',
      }),
      falsePositives: shareField({ min: 0.0001, max: 0.5 }, 0.01, {
        live: true,
        what: 'share of unused objects that a full Bloom filter takes for used, at most',
      }),
    })
    .prefault({}),
  minReadRecency: countField({ min: 0, max: hitSetsMax }, 0, {
    live: true,
    what: 'newest hit sets of which one has to have an object for its misses to be promoted; 0: all misses are; without hit sets it is 0',
  }),
}

interface HitSetFields {
  readonly hitSet: {
    readonly type: HitSetOptions['type']
    readonly count: number
    readonly period: number
    readonly falsePositives: number
  }
  readonly minReadRecency: number
}

/** The same, as src/cache/ wants it. */
export function hitSetOptionsOf({ hitSet: { period, ...rest }, minReadRecency }: HitSetFields) {
  return { hitSet: { ...rest, periodMs: period }, minReadRecency }
}
