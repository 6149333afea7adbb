/** Sizes of hit sets: twice the objects of the cache, between bounds, so that the memory that is stated holds. */
import t from 'tap'
import { decodeHitSet, type HitSetOptions, newHitSet } from '../../../src/cache/evict/hit-set.ts'
import { explicitObjectsMax } from '../../../src/cache/evict/limits.ts'

const bloom: HitSetOptions = { type: 'bloom', count: 4, periodMs: 1000, falsePositives: 0.01 }
const MiB = 1024 * 1024

t.test('a Bloom filter grows with the cache, from 4.8 KiB to 1.2 MiB with 1 % of false positives', async t => {
  const bytesFor = (objects: number) => newHitSet(bloom, objects).memoryBytes
  t.equal(bytesFor(0), bytesFor(2048), 'the least')
  t.ok(bytesFor(2048) > 4800 && bytesFor(2048) < 5000)
  t.ok(Math.abs(bytesFor(200_000) / (400_000 * 1.198) - 1) < 0.01, 'twice its objects')
  t.equal(bytesFor(2 ** 19), bytesFor(1e9), 'the most')
  t.ok(bytesFor(1e9) < 1.2 * MiB)
})

t.test('a list takes 5 MiB at most', async t => {
  const set = newHitSet({ ...bloom, type: 'explicit' }, 1e9)
  for (let object = 0; set.add('ab'.repeat(16), object); object++);
  t.equal(set.size, explicitObjectsMax)
  t.ok(set.memoryBytes <= 5 * MiB)
})

t.test('a set of an unknown type is none', async t => {
  t.equal(decodeHitSet('cuckoo', newHitSet(bloom, 1).encode()), null)
  t.equal(decodeHitSet('bloom', newHitSet(bloom, 1).encode())?.size, 0)
})
