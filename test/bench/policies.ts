import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { optimalHits } from '../../bench/policies/optimum.ts'
import { promotionsOf } from '../../bench/policies/recency.ts'
import { Arc, Lru, S3Fifo, type Simulated, TwoQ } from '../../bench/policies/references.ts'
import { readTrace, tracesIn } from '../../bench/policies/traces.ts'
import { between, seeded } from '../fixtures/seeded.ts'

const footprint = 60
const contenders = { Lru, S3Fifo, TwoQ, Arc }

function hitsOf(cache: Simulated, references: Uint32Array): number {
  return references.reduce((hits, unit) => hits + Number(cache.ask(unit)), 0)
}

/** Some units more often than others. */
function chance(seed: number): Uint32Array {
  const random = seeded(seed)
  return Uint32Array.from({ length: 3000 }, () =>
    Math.min(between(random, 0, footprint), between(random, 0, footprint)),
  )
}

t.test('the optimum is what trying every choice gives', async t => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed)
    const references = Uint32Array.from({ length: 12 }, () => between(random, 0, 5))
    t.equal(optimalHits(references, 5, 3), mostHits([...references], new Set(), 3), `SEED=${seed}`)
  }
})

/** By trying each unit that could go. */
function mostHits(references: readonly number[], held: ReadonlySet<number>, capacity: number): number {
  const [unit, ...rest] = references
  if (unit === undefined) return 0
  if (held.has(unit)) return 1 + mostHits(rest, held, capacity)
  if (held.size < capacity) return mostHits(rest, new Set([...held, unit]), capacity)
  const choices = [...held].map(gone =>
    mostHits(rest, new Set([...held, unit].filter(each => each !== gone)), capacity),
  )
  return Math.max(...choices)
}

t.test('no policy has more hits than the optimum, and each hits what always fits', async t => {
  for (const [name, Policy] of Object.entries(contenders)) {
    for (let seed = 1; seed <= 5; seed++) {
      const references = chance(seed)
      const hits = hitsOf(new Policy(15, footprint), references)
      t.ok(hits <= optimalHits(references, footprint, 15), `${name}: ${hits}`)
      t.ok(hits > 500, `${name}: ${hits}`)
      t.equal(hitsOf(new Policy(10 * footprint, footprint), references), 3000 - new Set(references).size, name)
    }
  }
})

t.test('LRU is what a list says', async t => {
  const references = chance(9)
  const list: number[] = []
  let hits = 0
  for (const unit of references) {
    const at = list.indexOf(unit)
    if (at >= 0) hits++
    if (at >= 0) list.splice(at, 1)
    else if (list.length === 15) list.shift()
    list.push(unit)
  }
  t.equal(hitsOf(new Lru(15, footprint), references), hits)
})

t.test('a loop that is longer than the cache: recency has nothing, the others keep a part', async t => {
  const references = Uint32Array.from({ length: 3000 }, (_, k) => k % 20)
  t.equal(hitsOf(new Lru(15, footprint), references), 0)
  t.ok(hitsOf(new S3Fifo(15, footprint), references) > 500)
})

t.test('traces of three formats, packed or plain', async t => {
  const directory = t.testdir({
    'a.lis': '7 2 0 0\n8 1 0 1\n',
    'b.csv': 'version,time,op,size,lbn\n1,5,2a,512,16\n1,6,28,6656,23\n',
    'other.txt': 'nothing',
  })
  writeFileSync(join(directory, 'c.trace'), Uint32Array.from([5, 9, 5]))
  const traces = await Promise.all((await tracesIn(directory)).map(readTrace))
  const read = traces.map(({ name, references, footprint: units }) => [name, [...references], units])
  t.same(read, [
    ['a', [0, 1, 1], 2],
    ['b', [0, 0, 1, 2], 3],
    ['c', [0, 1, 0], 2],
  ])
  await t.rejects(readTrace(join(directory, 'other.txt')), /known format/)
})

t.test(
  'at recency 0 every miss is promoted; at 1 what was asked for in this part; at 2 in the part before, too',
  async t => {
    const references = chance(11)
    const all = promotionsOf(references, footprint, 15, 0)
    t.equal(all.hits, hitsOf(new Lru(15, footprint), references) / references.length)
    t.ok(Math.abs(all.hits + all.promoted - 1) < 1e-9)
    const [one, two] = [1, 2].map(recency => promotionsOf(references, footprint, 15, recency))
    t.ok(one!.promoted <= two!.promoted && two!.promoted <= all.promoted)
    // 24 parts of two: each unit twice in its part, and in no other one.
    const pairs = Uint32Array.from({ length: 48 }, (_, k) => k >> 1)
    t.same(
      [0, 1, 2].map(recency => promotionsOf(pairs, 24, 5, recency).promoted),
      [0.5, 0.5, 0.5],
    )
    const once = Uint32Array.from({ length: 48 }, (_, k) => k)
    t.same(
      [0, 1, 2].map(recency => promotionsOf(once, 48, 5, recency).promoted),
      [1, 0, 0],
    )
    const nextPart = Uint32Array.from({ length: 48 }, (_, k) => (k >> 2) * 2 + (k & 1))
    t.same(
      [0, 1, 2].map(recency => promotionsOf(nextPart, 24, 5, recency).promoted),
      [0.5, 0, 0.5],
    )
  },
)
