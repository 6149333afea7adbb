/**
 * Eviction policies over block traces: parentfs's own code beside the literature and the optimum.
 *
 *   node build/bench/policies.js --traces DIR [--shares 0.01,0.1] [--json FILE]
 *
 * Prints a Markdown table of hit ratios; a cache has room for a share of the trace's footprint. Each unit of a trace counts as an
 * object of its own, so rows compare policies and do not foretell the hit ratio of a cache.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { Adaptive } from '../src/cache/adaptive-policy.ts'
import { LeastRecentlyUsed } from '../src/cache/eviction-policy.ts'
import { optimalHits } from './policies/optimum.ts'
import { OwnPolicy, type Unit } from './policies/own.ts'
import { Arc, Lru, S3Fifo, type SimulatedFactory, TwoQ } from './policies/references.ts'
import { readTrace, type Trace, tracesIn } from './policies/traces.ts'

const own = {
  'parentfs lru': () => new LeastRecentlyUsed<Unit>(),
  'parentfs adaptive': () => new Adaptive<Unit>(),
} as const
const literature: Readonly<Record<string, SimulatedFactory>> = {
  LRU: (capacity, footprint) => new Lru(capacity, footprint),
  'S3-FIFO': (capacity, footprint) => new S3Fifo(capacity, footprint),
  '2Q': (capacity, footprint) => new TwoQ(capacity, footprint),
  ARC: (capacity, footprint) => new Arc(capacity, footprint),
}
/** How far behind the better of LRU and S3-FIFO the adaptive policy may be. */
const behindMax = 0.01

const { values } = parseArgs({
  options: { traces: { type: 'string' }, shares: { type: 'string', default: '0.01,0.1' }, json: { type: 'string' } },
})
if (!values.traces) {
  console.error('usage: policies --traces DIR [--shares 0.01,0.1] [--json FILE]')
  process.exit(2)
}
const names = [...Object.keys(own), ...Object.keys(literature), 'optimum']
console.log(`| trace | references | footprint | cache | ${names.join(' | ')} | behind the better |`)
console.log(`|${'---|'.repeat(names.length + 5)}`)
const rows: object[] = []
let behind = 0
for (const path of await tracesIn(values.traces)) {
  const trace = await readTrace(path)
  for (const share of values.shares.split(',').map(Number)) {
    const ratios = await hitRatios(trace, Math.max(10, Math.round(trace.footprint * share)))
    const lag = Math.max(ratios.LRU!, ratios['S3-FIFO']!) - ratios['parentfs adaptive']!
    behind = Math.max(behind, lag)
    rows.push({
      trace: trace.name,
      references: trace.references.length,
      footprint: trace.footprint,
      share,
      ratios,
      lag,
    })
    const shown = names.map(name => ratios[name]!.toFixed(4))
    const [count, units] = [trace.references.length, trace.footprint].map(number => number.toLocaleString('en'))
    console.log(`| ${[trace.name, count, units, `${share * 100} %`, ...shown, lag.toFixed(4)].join(' | ')} |`)
  }
}
if (values.json) await writeFile(values.json, `${JSON.stringify(rows)}\n`)
console.log(
  `\nThe adaptive policy is at most ${behind.toFixed(4)} behind the better of LRU and S3-FIFO (aim ${behindMax}).`,
)
process.exitCode = behind <= behindMax ? 0 : 1

async function hitRatios({ references, footprint }: Trace, capacity: number): Promise<Record<string, number>> {
  const ratios: Record<string, number> = {}
  for (const [name, make] of Object.entries(own)) {
    ratios[name] = (await new OwnPolicy(make(), capacity).hits(references)) / references.length
  }
  for (const [name, make] of Object.entries(literature)) {
    const cache = make(capacity, footprint, references)
    let hits = 0
    for (const unit of references) if (cache.ask(unit)) hits++
    ratios[name] = hits / references.length
  }
  ratios.optimum = optimalHits(references, footprint, capacity) / references.length
  return ratios
}
