/**
 * Miss-ratio curves by sampling, beside the exact ones: for LRU and for the adaptive policy, over block traces.
 *
 *   node build/bench/curves.js --traces DIR [--only TRACE,...] [--shares 0.01,0.1] [--policies lru,adaptive]
 *
 * Prints a row for each trace and policy with the largest and the mean difference over the capacities, which are shares
 * of the trace's footprint. Ends with 1 when a difference is over the aim.
 */
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { AdaptivePolicy } from '../src/cache/evict/adaptive-policy.ts'
import { simulate } from '../src/cache/plan/miss-ratio.ts'
import { UseLog, type UseSample } from '../src/cache/plan/use-log.ts'
import { OwnPolicy, type Unit } from './policies/own.ts'
import { Lru } from './policies/references.ts'
import { readTrace, type Trace, tracesIn } from './policies/traces.ts'

/** Aim for the largest difference of one curve. */
const differenceMax = 0.02
/** Of what lies below the ceiling, as by default. */
const lowShare = 0.9 / 0.95

const { values } = parseArgs({
  options: {
    traces: { type: 'string' },
    only: { type: 'string' },
    shares: { type: 'string', default: '0.01,0.03,0.1,0.3,0.6,0.9' },
    policies: { type: 'string', default: 'lru,adaptive' },
  },
})
if (!values.traces) {
  console.error('usage: curves --traces DIR [--only TRACE,...] [--shares 0.01,0.1] [--policies lru,adaptive]')
  process.exit(2)
}
const shares = values.shares.split(',').map(Number)
console.log('| trace | policy | rate | uses | largest difference | mean | exact, by share | by sampling |')
console.log(`|${'---|'.repeat(8)}`)
let worst = 0
const only = values.only?.split(',')
for (const path of await tracesIn(values.traces)) {
  if (only && !only.some(name => basename(path).startsWith(`${name}.`))) continue
  const trace = await readTrace(path)
  const sample = sampled(trace)
  for (const policy of values.policies.split(',') as ('lru' | 'adaptive')[]) {
    const [exact, estimated]: [number[], number[]] = [[], []]
    for (const share of shares) {
      const capacity = Math.max(10, Math.round(trace.footprint * share))
      exact.push(1 - (await hitsOf(trace, policy, capacity)) / trace.references.length)
      const simulated = policy === 'lru' ? 'exact-lru' : policy
      const cache = { capacityBytes: capacity, blockBytes: 1, policy: simulated, lowShare } as const
      estimated.push((await simulate(sample, cache)).missRatio)
    }
    const differences = exact.map((ratio, k) => Math.abs(ratio - estimated[k]!))
    const largest = Math.max(...differences)
    worst = Math.max(worst, largest)
    const mean = differences.reduce((sum, each) => sum + each, 0) / differences.length
    const list = (ratios: readonly number[]) => ratios.map(ratio => ratio.toFixed(3)).join(' ')
    const cells = [sample.rate.toFixed(4), sample.files.length, largest.toFixed(4), mean.toFixed(4)]
    console.log(`| ${[trace.name, policy, ...cells, list(exact), list(estimated)].join(' | ')} |`)
  }
}
console.log(`\nThe largest difference is ${worst.toFixed(4)} (aim ${differenceMax}).`)
process.exitCode = worst <= differenceMax ? 0 : 1

/** As a mount would have it: each unit is an object of one block. */
function sampled({ references }: Trace): UseSample {
  const log = new UseLog(0)
  let reads = 0
  for (const object of references) log.add({ file: 1, object, low: 1, high: 0, reads: 1 }, ++reads)
  return log.sample(reads)
}

async function hitsOf({ references, footprint }: Trace, policy: 'lru' | 'adaptive', capacity: number): Promise<number> {
  if (policy === 'adaptive') return new OwnPolicy(new AdaptivePolicy<Unit>(), capacity).hits(references)
  const cache = new Lru(capacity, footprint)
  let hits = 0
  for (const unit of references) if (cache.ask(unit)) hits++
  return hits
}
