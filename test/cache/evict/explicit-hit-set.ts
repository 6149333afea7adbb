/** Hit sets as lists: exact, bounded, kept. */
import t from 'tap'
import { ExplicitHitSet } from '../../../src/cache/evict/explicit-hit-set.ts'

const [a, b] = ['a', 'b'].map(digit => digit.repeat(32)) as [string, string]

t.test('what was entered is there, and nothing else; one more than there is room for is refused', async t => {
  const set = new ExplicitHitSet(3)
  t.same([set.add(a, 1), set.add(b, 1), set.add(a, 0xffff_fff0)], [true, true, true])
  t.ok(set.add(a, 1), 'again')
  t.notOk(set.add(b, 2))
  t.same(
    [set.has(a, 1), set.has(b, 1), set.has(a, 0xffff_fff0), set.has(b, 2), set.has(a, 2)],
    [true, true, true, false, false],
  )
  t.equal(set.size, 3)
  t.ok(set.memoryBytes > 0)
})

t.test('it comes back as it was kept; what is cut off does not', async t => {
  const set = new ExplicitHitSet(100)
  for (let k = 0; k < 50; k++) set.add(k % 2 ? a : b, k * k)
  const again = ExplicitHitSet.decode(set.encode(), 100)!
  t.equal(again.size, 50)
  for (let k = 0; k < 50; k++) t.ok(again.has(k % 2 ? a : b, k * k))
  t.equal(ExplicitHitSet.decode(set.encode().subarray(0, -1), 100), null)
  t.equal(ExplicitHitSet.decode(Buffer.alloc(17), 100), null)
  t.equal(ExplicitHitSet.decode(Buffer.alloc(0), 100)!.size, 0)
})
