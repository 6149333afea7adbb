/** The place of an object in the sample is the same here and natively. */
import t from 'tap'
import { sampleHash } from '../../../src/cache/plan/sample-hash.ts'

t.test('numbers that native-bindings/test/use-samples.cc has, too', async t => {
  t.same([sampleHash(0, 0), sampleHash(1, 2), sampleHash(70_000, 4_000_000_000)], [0, 2117216093, 727605816])
})

t.test('objects side by side are spread evenly', async t => {
  const tenths = new Array<number>(10).fill(0)
  for (let object = 0; object < 100_000; object++) tenths[Math.floor((sampleHash(3, object) / 2 ** 32) * 10)]!++
  for (const count of tenths) t.ok(Math.abs(count - 10_000) < 400, `${count}`)
})
