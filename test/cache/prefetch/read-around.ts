/**
 * Neighbours of misses: fetched where misses cluster, and never where they are as scattered as chance would have them.
 */
import t from 'tap'
import { ReadAround } from '../../../src/cache/prefetch/read-around.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const blockBytes = 64 * 1024
const blocks = 200_000 // Of 12 GiB.
const miss = (from: number, count = 1) => ({ from, to: from + count, stalled: true, missed: true })
const hit = (from: number) => ({ from, to: from + 1, stalled: false, missed: false })
/** Eight blocks. */
const some = () => 512 * 1024

/** One that has seen `count` misses close by. */
function clustered(count = 8): ReadAround {
  const around = new ReadAround(blocks, blockBytes)
  for (let k = 0; k < count; k++) around.observe(miss(1000 + k), some)
  return around
}

t.test('seven misses say nothing, with the eighth one the neighbours are fetched', async t => {
  const around = clustered(7)
  t.same(around.observe(hit(1000), some), [])
  const spans = around.observe(miss(1010), some)
  const after = { from: 1010, to: 1017 }
  t.same(spans, [after, { from: 1008, to: 1010 }], 'a third of them before it, which come last')
})

t.test('as many are fetched as are worth it; none lie outside the image', async t => {
  const around = clustered(20)
  t.same(around.observe(miss(50_000), some), [
    { from: 50_000, to: 50_007 },
    { from: 49_998, to: 50_000 },
  ])
  const oneBlock = () => 1.9 * blockBytes
  t.same(around.observe(miss(50_100), oneBlock), [{ from: 50_100, to: 50_102 }], 'one goes after it')
  t.same(
    around.observe(miss(50_200), () => blockBytes - 1),
    [],
  )
  t.same(around.observe(miss(0), some), [{ from: 0, to: 7 }])
  t.same(around.observe(miss(1), some), [
    { from: 1, to: 8 },
    { from: 0, to: 1 },
  ])
  t.same(around.observe(miss(blocks - 1), some), [
    { from: blocks - 1, to: blocks },
    { from: blocks - 3, to: blocks - 1 },
  ])
})

t.test('where misses cluster, a read of a neighbour has a quarter as many fetched', async t => {
  const around = clustered()
  t.same(around.observe(hit(1004), some), [{ from: 1004, to: 1007 }])
  t.same(around.observe(hit(blocks - 1), some), [{ from: blocks - 1, to: blocks }])
  const few = () => 3 * blockBytes
  t.same(around.observe(hit(1004), few), [])
})

t.test(`random reads of a large image set nothing off (SEED=${seed})`, async t => {
  const around = new ReadAround(blocks, blockBytes)
  const random = seeded(seed)
  const asked = () => {
    t.fail('the path was asked how much it carries')
    return 0
  }
  for (let k = 0; k < 2000; k++) around.observe(miss(between(random, 0, blocks)), asked)
})

t.test('where four misses in ten are near another by chance, they are no cluster', async t => {
  const around = new ReadAround(4000, blockBytes)
  const random = seeded(1)
  for (let k = 0; k < 500; k++) t.same(around.observe(miss(between(random, 0, 4000)), some), [])
})

t.test('64 misses that are scattered outweigh a cluster of before', async t => {
  const around = clustered(64)
  const random = seeded(seed)
  for (let k = 0; k < 64; k++) around.observe(miss(between(random, 2000, blocks)), some)
  t.same(around.observe(hit(1000), some), [])
})

t.test('where a block is larger than what would be fetched around it, nothing is', async t => {
  const around = new ReadAround(blocks, 1024 * 1024)
  for (let k = 0; k < 20; k++) t.same(around.observe(miss(1000 + (k % 2)), some), [])
  t.same(around.observe(hit(1000), some), [])
})
