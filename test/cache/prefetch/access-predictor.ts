/** The access predictor: streams that go on come before neighbours of misses. */
import t from 'tap'
import { AccessPredictor } from '../../../src/cache/prefetch/access-predictor.ts'

const blockBytes = 64 * 1024
const limits = { runMin: 8, requestMin: 4, windowMin: 2, windowMax: 64, waitBlocks: 0, waitRunMin: 4, waitRunsMax: 2 }
const missed = (from: number) => ({ from, to: from + 1, stalled: true, missed: true })

t.test('a sequence of reads is a stream, which is fetched ahead', async t => {
  const predictor = new AccessPredictor(10_000, blockBytes)
  const plans = Array.from({ length: 12 }, (_, block) => predictor.observe(missed(block), limits, () => 512 * 1024))
  const streaming = plans.filter(plan => plan?.stream)
  t.ok(streaming.length > 0)
  t.ok(streaming.every(plan => plan!.spans.every(({ from, to }) => from < to)))
  t.equal(predictor.streams, 1)
  t.ok(predictor.isPassing(11, 8))
  t.notOk(predictor.isPassing(11, 100), 'it has not come so far')
  t.notOk(predictor.isPassing(5000, 8))
})

t.test('misses that cluster without an order have their neighbours fetched, for no stream', async t => {
  const predictor = new AccessPredictor(100_000, blockBytes)
  const blocks = [1000, 1007, 1003, 1011, 1001, 1009, 1005, 1013, 1002, 1010]
  const plans = blocks.map(block => predictor.observe(missed(block), limits, () => 512 * 1024))
  const last = plans.at(-1)!
  t.equal(last.stream, null)
  t.same(last.spans, [
    { from: 1010, to: 1017 },
    { from: 1008, to: 1010 },
  ])
})

t.test('single reads far apart want nothing', async t => {
  const predictor = new AccessPredictor(1_000_000, blockBytes)
  for (let k = 0; k < 50; k++) {
    const plan = predictor.observe(missed((k * 618_033) % 1_000_000), limits, () => 4 * 1024 * 1024)
    t.equal(plan, null)
  }
})
