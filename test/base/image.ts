import t from 'tap'
import { countOf, Geometry, identify, maskOf, runsOf } from '../../src/base/image.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

t.test('an id depends on origin, key, size and validator, and on nothing else', async t => {
  const facts = { origin: 'http://x/', key: 'a', sizeBytes: 5, validator: 'v', modifiedMs: 1 }
  const { id } = identify(facts)
  t.match(id, /^[0-9a-f]{32}$/)
  t.equal(identify({ ...facts, modifiedMs: 2 }).id, id)
  for (const other of [{ origin: 'http://y/' }, { key: 'b' }, { sizeBytes: 6 }, { validator: 'w' }]) {
    t.not(identify({ ...facts, ...other }).id, id)
  }
})

t.test('masks and runs are each other’s inverse', async t => {
  t.equal(maskOf({ first: 0, count: 64 }), 0xffff_ffff_ffff_ffffn)
  t.equal(maskOf({ first: 63, count: 1 }), 1n << 63n)
  t.same(runsOf(0n), [])
  t.same(runsOf(0b1011_0110n), [
    { first: 1, count: 2 },
    { first: 4, count: 2 },
    { first: 7, count: 1 },
  ])
  const random = seeded(seed)
  for (let k = 0; k < 2000; k++) {
    let mask = 0n
    for (let n = 0; n < 12; n++) mask |= maskOf({ first: between(random, 0, 60), count: between(random, 1, 5) })
    const runs = runsOf(mask)
    t.equal(
      runs.reduce((sum, run) => sum | maskOf(run), 0n),
      mask,
    )
    t.equal(
      runs.reduce((sum, run) => sum + run.count, 0),
      countOf(mask),
    )
  }
})

t.test('parts cover a range exactly, one object each', async t => {
  const geometry = new Geometry(1_000_001, 4096)
  t.same(geometry.parts(262_143, 2), [
    { object: 0, blocks: 1n << 63n, offset: 262_143, length: 1 },
    { object: 1, blocks: 1n, offset: 262_144, length: 1 },
  ])
  t.equal(geometry.objects, 4)
  t.same(geometry.bytesOf(3, { first: 52, count: 1 }), { offset: 999_424, length: 577 })
  t.equal(geometry.blocksOf(3), maskOf({ first: 0, count: 53 }))
  t.equal(geometry.blocksOf(0), 0xffff_ffff_ffff_ffffn)
  t.equal(new Geometry(0, 4096).objects, 0)
})

t.test('a 3 TiB image has whole numbers everywhere', async t => {
  const sizeBytes = 3 * 1024 ** 4
  const geometry = new Geometry(sizeBytes, 65_536)
  t.same(geometry.parts(sizeBytes - 1, 1), [{ object: 786_431, blocks: 1n << 63n, offset: sizeBytes - 1, length: 1 }])
})
