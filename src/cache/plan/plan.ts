/** Plan: misses and origin bytes of caches of other capacities, for exact LRU and for the policy in force. */
import { type SimulatedMisses, simulate } from './miss-ratio.ts'
import { type PlanBasis, sampleOf } from './plan-basis.ts'

/** A cache of one capacity. */
export interface PlanRow {
  readonly capacityBytes: number
  readonly lru: SimulatedMisses
  readonly policy: SimulatedMisses
}

export async function planFor(basis: PlanBasis, capacities: readonly number[]): Promise<PlanRow[]> {
  const { blockBytes, highShare, lowShare, policy } = basis
  const sample = sampleOf(basis)
  const rows: PlanRow[] = []
  for (const capacityBytes of capacities) {
    const cache = { capacityBytes: capacityBytes * highShare, blockBytes, lowShare }
    const lru = await simulate(sample, { ...cache, policy: 'exact-lru' })
    rows.push({ capacityBytes, lru, policy: await simulate(sample, { ...cache, policy }) })
  }
  return rows
}

/** A capacity as it is asked for: `2x` of the present one, or a size. */
export type AskedCapacity = { readonly times: number } | { readonly bytes: number }

/** In ascending order, each once. */
export function capacitiesOf(asked: readonly AskedCapacity[], capacityBytes: number): number[] {
  const all = asked.map(each => ('bytes' in each ? each.bytes : Math.round(each.times * capacityBytes)))
  return [...new Set(all)].sort((a, b) => a - b)
}
