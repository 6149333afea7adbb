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

/** One that has seen `count` misses close by. */
function clustered(count = 8): ReadAround {
  const around = new ReadAround(blocks, blockBytes)
  for (let k = 0; k < count; k++) around.observe(miss(1000 + k))
  return around
}

t.test('seven misses say nothing, with the eighth one the neighbours are fetched', async t => {
  const around = clustered(7)
  t.equal(around.observe(hit(1000)), null)
  // 256 KiB after it, and half of that before.
  t.same(around.observe(miss(1010)), { from: 1008, to: 1015 })
})

t.test('a miss apart from the others gets half as many neighbours; none lie outside the image', async t => {
  const around = clustered(20)
  t.same(around.observe(miss(50_000)), { from: 49_999, to: 50_003 })
  t.same(around.observe(miss(0)), { from: 0, to: 3 })
  t.same(around.observe(miss(blocks - 1)), { from: blocks - 2, to: blocks })
})

t.test('where misses cluster, a read of a neighbour has the next ones fetched', async t => {
  const around = clustered()
  t.same(around.observe(hit(1004)), { from: 1004, to: 1007 })
  t.same(around.observe(hit(blocks - 1)), { from: blocks - 1, to: blocks })
})

t.test(`random reads of a large image set nothing off (SEED=${seed})`, async t => {
  const around = new ReadAround(blocks, blockBytes)
  const random = seeded(seed)
  for (let k = 0; k < 2000; k++) {
    const wanted = around.observe(miss(between(random, 0, blocks)))
    if (wanted) t.fail(`after ${k} misses`)
  }
})

t.test('where four misses in ten are near another by chance, they are no cluster', async t => {
  const around = new ReadAround(4000, blockBytes)
  const random = seeded(1)
  for (let k = 0; k < 500; k++) if (around.observe(miss(between(random, 0, 4000)))) t.fail(`after ${k} misses`)
})

t.test('64 misses that are scattered outweigh a cluster of before', async t => {
  const around = clustered(64)
  const random = seeded(seed)
  for (let k = 0; k < 64; k++) around.observe(miss(between(random, 2000, blocks)))
  t.equal(around.observe(hit(1000)), null)
})

t.test('where a block is larger than what would be fetched around it, nothing is', async t => {
  const around = new ReadAround(blocks, 1024 * 1024)
  for (let k = 0; k < 20; k++) t.equal(around.observe(miss(1000 + (k % 2))), null)
  t.equal(around.observe(hit(1000)), null)
})
