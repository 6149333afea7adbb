/** The log of sampled uses: one rate, a bound, and no loss for good. */
import t from 'tap'
import { growMs, growObjectsMax, sampledObjectsMin } from '../../../src/cache/plan/limits.ts'
import { sampleAll, sampleHash } from '../../../src/cache/plan/sample-hash.ts'
import { UseLog } from '../../../src/cache/plan/use-log.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const use = (object: number, low = 1) => ({ file: 1, object, low, high: 0, reads: 1 })

t.test('while there are few objects, all uses are there, in their order', async t => {
  const log = new UseLog(0, 100, 1000)
  for (let k = 0; k < 500; k++) log.add(use(k % 100, k), k + 1)
  const sample = log.sample(700)
  t.equal(log.threshold, sampleAll)
  t.match(sample, { rate: 1, countFrom: 0, reads: 700 })
  t.same(
    [...sample.lows],
    Array.from({ length: 500 }, (_, k) => k),
  )
  t.same(
    [...sample.objects],
    Array.from({ length: 500 }, (_, k) => k % 100),
  )
})

t.test(
  `one object too many makes the sample smaller: all uses of some objects, and no others (SEED=${seed})`,
  async t => {
    const random = seeded(seed)
    const log = new UseLog(0, 100, 100_000)
    const uses: number[] = []
    for (let k = 0; k < 20_000; k++) {
      uses.push(between(random, 0, 3000))
      log.add(use(uses.at(-1)!), k + 1)
    }
    t.ok(log.threshold < sampleAll / 10)
    const { rate, objects, countFrom } = log.sample(20_000)
    t.same(
      [...objects],
      uses.filter(object => sampleHash(1, object) < log.threshold),
    )
    t.same([rate, countFrom], [log.threshold / sampleAll, 0])
    t.ok(new Set(objects).size <= 100)
  },
)

t.test('of one object too many, a quarter of them goes', async t => {
  const log = new UseLog(0, 1000)
  for (let object = 0; object <= 1000; object++) log.add(use(object), object + 1)
  const { objects, rate } = log.sample(1001)
  t.equal(objects.length, Math.floor(0.75 * 1001))
  t.ok(Math.abs(rate - 0.75) < 0.06, `${rate}`)
})

t.test('a full log of many objects is of fewer of them; one of few forgets its oldest uses, and warms up', async t => {
  const many = new UseLog(0, 2 * sampledObjectsMin, 2 * sampledObjectsMin)
  for (let k = 0; k < 2.2 * sampledObjectsMin; k++) many.add(use(k % (1.5 * sampledObjectsMin)), k + 1)
  t.ok(many.threshold < sampleAll)
  t.equal(many.sample(1).countFrom, 0)
  const few = new UseLog(0, 100, 1000)
  for (let k = 0; k < 1001; k++) few.add(use(k % 10), k + 1)
  const { objects, countFrom, reads, rate } = few.sample(1001)
  t.same([objects.length, objects[0], rate], [1000, 1, 1])
  t.same([countFrom, reads], [500, 1001 - 502], 'reads since the use from which is counted')
})

t.test('after a burst over very many objects the sample grows again, and its older part counts until then', async t => {
  const log = new UseLog(0, 100, 100_000)
  for (let object = 0; object < 20_000; object++) log.add(use(object), object + 1)
  const low = log.threshold
  t.ok(low < sampleAll / 50)
  let reads = 20_000
  let nowMs = 0
  for (let looks = 0; looks < 10; looks++) {
    nowMs += growMs
    log.look(nowMs)
    for (let k = 0; k < 1000; k++) log.add(use(k % 50), ++reads)
  }
  t.ok(log.threshold > 8 * low, `${log.threshold} after ${low}`)
  t.ok(log.sample(reads).rate > 2 * (low / sampleAll), 'the part since is the longer one')
  t.ok(growObjectsMax > 100)
})

t.test('a sample that is large stays as it is', async t => {
  const log = new UseLog(0, 3 * growObjectsMax, 100_000)
  for (let object = 0; object < 20_000; object++) log.add(use(object), object + 1)
  const { threshold } = log
  log.look(growMs)
  t.equal(log.threshold, threshold)
  log.look(growMs + 1)
  t.equal(log.threshold, threshold, 'not before its time')
})
