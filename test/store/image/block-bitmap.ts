import t from 'tap'
import { allBlocks, countOf } from '../../../src/base/image.ts'
import { BlockBitmap } from '../../../src/store/image/block-bitmap.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

/** Everything that both say of themselves. */
function agree(masks: BlockBitmap, model: ReadonlyMap<number, bigint>): boolean {
  const held = [...model].filter(([, mask]) => mask !== 0n)
  const count = held.reduce((sum, [, mask]) => sum + countOf(mask), 0)
  const objects = [...masks.objects()]
  if (masks.count !== count || objects.length !== held.length) return false
  if (new Set(objects).size !== objects.length) return false
  return held.every(([object, mask]) => masks.get(object) === mask) && objects.every(object => model.get(object) !== 0n)
}

t.test(`as a plain map says, whatever is added and removed (SEED=${seed})`, async t => {
  const random = seeded(seed)
  const ranges: (() => number)[] = [
    () => between(random, 0, 200),
    () => between(random, 0, 2 ** 32 - 1),
    () => between(random, 0, 5000) * 64,
    () => between(random, 0, 5000) * 4096 + 3,
  ]
  for (const draw of ranges) {
    const [masks, model] = [new BlockBitmap(), new Map<number, bigint>()]
    for (let k = 0; k < 20_000; k++) {
      const object = draw()
      const blocks = random() < 0.5 ? allBlocks : 1n << BigInt(between(random, 0, 64))
      const before = model.get(object) ?? 0n
      if (random() < 0.6) {
        masks.add(object, blocks)
        model.set(object, before | blocks)
      } else {
        masks.remove(object, blocks)
        model.set(object, before & ~blocks)
      }
      if (k % 2000 === 0 && !agree(masks, model)) t.fail(`after ${k}`)
    }
    t.ok(agree(masks, model))
    for (const object of masks.objects()) masks.remove(object, allBlocks)
    t.same([...masks.objects()], [])
    t.equal(masks.count, 0)
  }
  t.equal(new BlockBitmap().get(0), 0n)
})

t.test('a walk goes on over what is added and removed meanwhile', async t => {
  const masks = new BlockBitmap()
  for (let object = 0; object < 1000; object++) masks.add(object * 3, 5n)
  const seen = new Set<number>()
  let twice = 0
  for (const object of masks.objects()) {
    if (seen.has(object)) twice++
    seen.add(object)
    if (seen.size === 100) {
      for (let other = 0; other < 100_000; other++) masks.add(other * 5 + 1, 1n)
      for (let other = 0; other < 500; other++) if (!seen.has(other * 3)) masks.remove(other * 3, allBlocks)
    }
  }
  t.equal(twice, 0)
  const stayed = Array.from({ length: 1000 }, (_, k) => k * 3).filter(object => masks.get(object) !== 0n)
  t.ok(
    stayed.every(object => seen.has(object)),
    'nothing that stayed is missed',
  )
  t.ok(seen.size <= 101 + 900 && seen.size < 1000, `${seen.size} seen: what had gone is left out`)
})

t.test('neighbours are met in ascending runs', async t => {
  const masks = new BlockBitmap()
  for (let object = 0; object < 64 * 100; object++) masks.add(object, 1n)
  const objects = [...masks.objects()]
  const steps = objects.slice(1).filter((object, k) => object === objects[k]! + 1).length
  t.ok(steps > 0.9 * objects.length, `${steps} of ${objects.length}`)
})

t.test('a churn of objects does not make it grow', async t => {
  const masks = new BlockBitmap()
  const before = process.memoryUsage().arrayBuffers
  for (let object = 0; object < 2_000_000; object++) {
    masks.add(object, allBlocks)
    if (object >= 100) masks.remove(object - 100, allBlocks)
  }
  t.equal(masks.count, 6400)
  t.ok(process.memoryUsage().arrayBuffers - before < 4 * 2 ** 20)
})
