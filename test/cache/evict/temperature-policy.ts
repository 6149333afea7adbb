/** The policy by temperature: what no hit set has goes first, then the least recently used. */
import t from 'tap'
import { TemperaturePolicy } from '../../../src/cache/evict/temperature-policy.ts'

const stored = {}
const objects = [5, 3, 9, 1, 7].map(lastUse => ({ stored, object: lastUse, lastUse, bytes: 10 }))

t.test('cold ones go first, the least recently used of them before the others; then warm ones, likewise', async t => {
  const policy = new TemperaturePolicy<(typeof objects)[number]>(({ object }) => [1, 3].includes(object))
  const chosen = async (bytes: number) => (await policy.choose(() => objects, bytes)).map(({ object }) => object)
  t.same(await chosen(5), [5])
  t.same(await chosen(25), [5, 7, 9])
  t.same(await chosen(31), [5, 7, 9, 1])
  t.same(await chosen(1000), [5, 7, 9, 1, 3])
  t.same(await policy.choose(() => [], 10), [])
})

t.test('where all are warm, or none is, it is recency', async t => {
  for (const isWarm of [true, false]) {
    const policy = new TemperaturePolicy<(typeof objects)[number]>(() => isWarm)
    t.same(
      (await policy.choose(() => objects, 25)).map(({ object }) => object),
      [1, 3, 5],
    )
  }
})
