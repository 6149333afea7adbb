import t from 'tap'
import { ShardedSet } from '../../src/async/sharded-set.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

t.test('it has what a set has', async t => {
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const [wide, plain] = [new ShardedSet(), new Set<string>()]
  for (let k = 0; k < 20_000; k++) {
    const text = `${'ü'.repeat(between(random, 0, 3))}${between(random, 0, 10_000)}`
    if (wide.has(text) !== plain.has(text)) t.fail(text)
    if (wide.add(text) === plain.has(text)) t.fail(text)
    plain.add(text)
  }
  t.equal(wide.size, plain.size)
  t.equal(wide.has(''), false)
  t.equal(wide.add(''), true)
  t.equal(wide.add(''), false)
})

t.test('a hundred thousand names are spread evenly enough that none of its parts grows long', async t => {
  const wide = new ShardedSet()
  for (let k = 0; k < 100_000; k++) wide.add(`image-${String(k).padStart(7, '0')}.qcow2`)
  t.ok(wide.longest < 1_000, `${wide.longest} of 390`)
})
