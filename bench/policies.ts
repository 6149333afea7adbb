/**
 * Eviction policies over block traces: parentfs's own code beside the literature and the optimum.
 *
 *   node build/bench/policies.js --traces DIR [--only TRACE,...] [--shares 0.01,0.1] [--out DIR] [--promotions]
 *
 * With --promotions only the bytes promoted for each byte read are measured anew, at recency 0, 1 and 2, of exact LRU.
 *
 * Writes policies.json and the section of docs/BENCHMARKS.md; rows of traces that were not chosen stay as they were. A
 * row has hit ratios; a cache has room for a share of the trace's footprint. Each unit of a trace counts as an object
 * of its own, so rows compare policies and do not foretell the hit ratio of a cache.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { AdaptivePolicy } from '../src/cache/evict/adaptive-policy.ts'
import { LruPolicy } from '../src/cache/evict/eviction-policy.ts'
import { optimalHits } from './policies/optimum.ts'
import { OwnPolicy, type Unit } from './policies/own.ts'
import { type PromotionCounts, promotionsOf } from './policies/recency.ts'
import { Arc, Lru, S3Fifo, type SimulatedFactory, TwoQ } from './policies/references.ts'
import { readTrace, type Trace, tracesIn } from './policies/traces.ts'
import { between } from './report/page.ts'

const own = {
  'parentfs lru': () => new LruPolicy<Unit>(),
  'parentfs adaptive': () => new AdaptivePolicy<Unit>(),
} as const
const literature: Readonly<Record<string, SimulatedFactory>> = {
  LRU: (capacity, footprint) => new Lru(capacity, footprint),
  'S3-FIFO': (capacity, footprint) => new S3Fifo(capacity, footprint),
  '2Q': (capacity, footprint) => new TwoQ(capacity, footprint),
  ARC: (capacity, footprint) => new Arc(capacity, footprint),
}
const names = [...Object.keys(own), ...Object.keys(literature), 'optimum']
/** Results that lie elsewhere leave the page as it is. */
const committed = 'bench/results'
const marks = ['<!-- policies, from here -->', '<!-- policies, to here -->'] as const
/** Most that the adaptive policy may be behind the better of LRU and S3-FIFO. */
const behindMax = 0.01

/** Of one trace in a cache of one size. */
interface Row {
  readonly trace: string
  readonly references: number
  readonly footprint: number
  readonly share: number
  readonly ratios: Readonly<Record<string, number>>
  /** Of the adaptive policy, behind the better of LRU and S3-FIFO. */
  readonly lag: number
  /** Of exact LRU at each recency. */
  readonly promotions: readonly PromotionCounts[]
}

const recencies = [0, 1, 2] as const

const { values } = parseArgs({
  options: {
    traces: { type: 'string' },
    only: { type: 'string' },
    shares: { type: 'string', default: '0.01,0.1' },
    out: { type: 'string', default: committed },
    promotions: { type: 'boolean', default: false },
  },
})
if (!values.traces) {
  console.error('usage: policies --traces DIR [--only TRACE,...] [--shares 0.01,0.1] [--out DIR]')
  process.exit(2)
}
const path = join(values.out, 'policies.json')
const rows = new Map<string, Row>()
const keep = (row: Row) => rows.set(`${row.trace} ${row.share}`, row)
for (const row of JSON.parse(await readFile(path, 'utf8').catch(() => '[]')) as Row[]) keep(row)
console.log(head())
for await (const trace of chosenTraces(values.traces)) {
  for (const share of values.shares.split(',').map(Number)) {
    const { name, references, footprint } = trace
    const capacity = Math.max(10, Math.round(footprint * share))
    const known = rows.get(`${name} ${share}`)
    const ratios = values.promotions && known ? known.ratios : await hitRatios(trace, capacity)
    const lag = Math.max(ratios.LRU!, ratios['S3-FIFO']!) - ratios['parentfs adaptive']!
    const promotions = recencies.map(recency => promotionsOf(references, footprint, capacity, recency))
    const row = { trace: name, references: references.length, footprint, share, ratios, lag, promotions }
    keep(row)
    console.log(line(row))
  }
}
const sorted = [...rows.values()].sort((a, b) => a.trace.localeCompare(b.trace) || a.share - b.share)
const behind = Math.max(...sorted.map(({ lag }) => lag))
const verdict = `The adaptive policy is at most ${behind.toFixed(4)} behind the better of LRU and S3-FIFO (aim ${behindMax}).`
console.log(`\n${verdict}`)
await mkdir(values.out, { recursive: true })
await writeFile(path, `${JSON.stringify(sorted)}\n`)
if (values.out === committed) {
  const page = 'docs/BENCHMARKS.md'
  const text = `\n\n${[head(), ...sorted.map(line)].join('\n')}\n\n${verdict}\n\n`
  await writeFile(page, between(await readFile(page, 'utf8'), marks, text))
}
process.exitCode = behind <= behindMax ? 0 : 1

async function* chosenTraces(directory: string): AsyncGenerator<Trace> {
  const only = values.only?.split(',')
  for (const path of await tracesIn(directory)) {
    if (!only || only.some(name => basename(path).startsWith(`${name}.`))) yield await readTrace(path)
  }
}

function head(): string {
  const promotions = ['promoted for each byte read, recency 0, 1, 2', 'hits of these (LRU)']
  const titles = ['trace', 'references', 'footprint', 'cache', ...names, 'behind the better', ...promotions]
  return `| ${titles.join(' | ')} |\n|${'---|'.repeat(titles.length)}`
}

function line({ trace, references, footprint, share, ratios, lag, promotions }: Row): string {
  const [count, units] = [references, footprint].map(number => number.toLocaleString('en'))
  const shown = names.map(name => ratios[name]!.toFixed(4))
  const list = (of: (counts: PromotionCounts) => number) => promotions.map(each => of(each).toFixed(3)).join(', ')
  const written = [list(({ promoted }) => promoted), list(({ hits }) => hits)]
  return `| ${[trace, count, units, `${share * 100} %`, ...shown, lag.toFixed(4), ...written].join(' | ')} |`
}

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
