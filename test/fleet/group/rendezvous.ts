import { createHash } from 'node:crypto'
import t from 'tap'
import { ranksMax } from '../../../src/fleet/group/limits.ts'
import { hashMembers, isFirst, type Ranked, ranksOf } from '../../../src/fleet/group/rendezvous.ts'

const group = (count: number, weight = (_: number) => 1): Ranked[] =>
  Array.from({ length: count }, (_, k) => ({ id: `10.0.${k >> 8}.${k & 255}:7447`, rack: '', weight: weight(k) }))
const imageOf = (k: number) => createHash('sha256').update(`image ${k}`).digest('hex').slice(0, 32)

t.test('all hosts see one order, whatever the order of their lists', async t => {
  const members = group(50)
  const ids = (list: readonly Ranked[]) => ranksOf(hashMembers(list), imageOf(1), 7).map(({ id }) => id)
  t.same(ids(members), ids([...members].reverse()))
})

t.test('the order is that of all scores, cut at the bound', async t => {
  const [few, many] = [ranksOf(hashMembers(group(10)), imageOf(2), 3), ranksOf(hashMembers(group(300)), imageOf(2), 3)]
  t.equal(new Set(few).size, 10)
  t.equal(many.length, ranksMax)
  // A member of both lists keeps its place before another one of both.
  const both = many.filter(({ id }) => few.some(other => other.id === id)).map(({ id }) => id)
  t.same(
    both,
    few.map(({ id }) => id).filter(id => both.includes(id)),
  )
})

t.test('of a large group, the first ranks are before all others, whatever the weights', async t => {
  const weights = [() => 1, (k: number) => 1 + (k % 7), (k: number) => (k === 0 ? 1_024 : 2 ** -20)]
  for (const weight of weights) {
    const members = group(700, weight)
    const hashed = hashMembers(members)
    const isBefore = (one: Ranked, other: Ranked, unit: number) =>
      ranksOf(hashMembers([other, one]), imageOf(5), unit)[0] === one
    for (let unit = 0; unit < 5; unit++) {
      const ranks = ranksOf(hashed, imageOf(5), unit)
      t.equal(ranks.length, ranksMax)
      const others = members.filter(member => !ranks.includes(member))
      t.ok(ranks.every((member, at) => at === 0 || isBefore(ranks[at - 1]!, member, unit)))
      t.ok(others.every(member => isBefore(ranks.at(-1)!, member, unit)))
      const first = members.indexOf(ranks[0]!)
      t.ok(members.every((_, at) => isFirst(hashed, at, imageOf(5), unit) === (at === first)))
    }
  }
})

t.test('a leave and a join move no more than their share of the units, and load is even', async t => {
  const [members, units] = [group(100), 20_000]
  const owners = (list: readonly Ranked[]) => {
    const hashed = hashMembers(list)
    return Array.from({ length: units }, (_, unit) => ranksOf(hashed, imageOf(3), unit)[0]!.id)
  }
  const before = owners(members)
  const after = owners(members.slice(1))
  const moved = before.filter((id, unit) => id !== after[unit]).length
  t.equal(moved, before.filter(id => id === members[0]!.id).length, 'those of the one that left')
  t.ok(moved / units < 1.5 / 100, `${moved} of ${units}`)
  const loads = members.map(({ id }) => before.filter(owner => owner === id).length)
  t.ok(Math.max(...loads) < 1.4 * (units / 100) && Math.min(...loads) > 0.6 * (units / 100), `${loads}`)
})

t.test('weights give shares', async t => {
  const hashed = hashMembers(group(10, k => (k === 0 ? 9 : 1)))
  const first = Array.from({ length: 10_000 }, (_, unit) => ranksOf(hashed, imageOf(4), unit)[0]!)
  const share = first.filter(({ weight }) => weight === 9).length / 10_000
  t.ok(Math.abs(share - 0.5) < 0.03, `${share} of the units for 9 of 18`)
})
