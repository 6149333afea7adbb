/** Bloom filters of hit sets: nothing that was entered is missed, and their promise about the rest is kept. */
import t from 'tap'
import { BloomHitSet } from '../../../src/cache/evict/bloom-hit-set.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const imageId = (k: number) => ((0x1234_5678 + Math.imul(k, 0x9e37_79b1)) >>> 0).toString(16).padStart(8, '0').repeat(4)

for (const promised of [0.5, 0.1, 0.01, 0.001]) {
  t.test(`a full filter takes at most ${promised} of what was not used for used`, async t => {
    const set = BloomHitSet.sized(20_000, promised)
    // As images are: some of them, and objects side by side.
    const used: (readonly [string, number])[] = []
    const objectAt = (k: number) => [imageId(k % 7), Math.floor(k / 7)] as const
    for (let k = 0; set.add(...objectAt(k)); k++) used.push(objectAt(k))
    t.ok(used.length >= 0.97 * 20_000, `room for ${used.length}`)
    t.notOk(
      used.some(object => !set.has(...object)),
      'each of them is found',
    )
    let [found, asked] = [0, 0]
    for (let k = 0; k < 200_000; k++) {
      asked++
      if (set.has(imageId(k % 11), 1_000_000 + k)) found++
    }
    // Three deviations of as many throws.
    const most = promised + 3 * Math.sqrt((promised * (1 - promised)) / asked)
    t.ok(found / asked <= most, `${found / asked} of ${promised} promised`)
    t.ok(found / asked > promised / 4, `${found / asked}: it takes no more memory than it has to`)
    t.comment(`false positives: promised ${promised}, measured ${found / asked}, ${set.memoryBytes} bytes`)
  })
}

t.test('one object more than there is room for is refused, and those that are in are not', async t => {
  const set = BloomHitSet.sized(10_000, 0.01)
  let objects = 0
  while (set.add(imageId(1), objects)) objects++
  t.ok(Math.abs(objects - 10_000) < 300, `room for ${objects}`)
  t.notOk(set.has(imageId(1), objects))
  t.ok(set.add(imageId(1), 0))
  const { size } = set
  for (let object = objects; object < 2 * objects; object++) set.add(imageId(1), object)
  t.equal(set.size, size)
})

t.test(`it comes back as it was kept (SEED=${seed})`, async t => {
  const random = seeded(seed)
  const set = BloomHitSet.sized(5000, 0.02)
  for (let k = 0; k < 3000; k++) set.add(imageId(between(random, 0, 5)), between(random, 0, 10_000))
  const again = BloomHitSet.decode(set.encode())!
  t.same([again.size, again.memoryBytes], [set.size, set.memoryBytes])
  for (let k = 0; k < 10_000; k++) {
    const object = [imageId(between(random, 0, 5)), between(random, 0, 20_000)] as const
    if (again.has(...object) !== set.has(...object)) t.fail(`${object}`)
  }
  t.equal(BloomHitSet.decode(Buffer.alloc(5)), null)
})
