/** The sampler: native samples and reads of the main thread in one log, at a bounded cost. */
import t from 'tap'
import { sampleCostMs, sampleMsMax, sampleMsMin, sampleShareMax } from '../../../src/cache/plan/limits.ts'
import { sampleAll } from '../../../src/cache/plan/sample-hash.ts'
import { UseSampler } from '../../../src/cache/plan/use-sampler.ts'

function world() {
  const told: number[] = []
  const timers: { ms: number; work: () => void }[] = []
  let samples = new Float64Array(0)
  const native = {
    setSampling: (below: number) => void told.push(below),
    take: () => {
      const taken = samples
      samples = new Float64Array(0)
      return { samples: taken, hits: 1000, dropped: 3 }
    },
  }
  const after = (ms: number, work: () => void) => {
    timers.push({ ms, work })
    return () => void timers.splice(0)
  }
  const sampler = new UseSampler(
    native,
    () => 10,
    () => 0,
    after,
  )
  return { sampler, told, timers, put: (...numbers: number[]) => void (samples = Float64Array.from(numbers)) }
}

t.test('what comes natively and what comes here are one log; all reads are known', async t => {
  const { sampler, told, timers, put } = world()
  sampler.start()
  put(1, 2, 3, 4, 5)
  timers.shift()!.work()
  t.same(told, [sampleAll])
  sampler.used(6, 7, 0x1_0000_0002n)
  const { files, objects, lows, highs, counts, reads } = sampler.sample()
  t.same(
    [[...files], [...objects], [...lows], [...highs], [...counts], reads],
    [[1, 6], [2, 7], [3, 2], [4, 1], [5, 1], 1010],
  )
  t.same(told, [sampleAll], 'it is told once')
  sampler.close()
  t.same(timers, [])
  put(1, 2, 3, 4, 5, 8, 9, 1, 0, 1)
  t.same([...sampler.sample().files], [1, 6], 'native samples are taken no more')
})

t.test('a taking of many samples is followed by a longer pause, and nothing else', async t => {
  const { sampler, timers, put } = world()
  const pauseAfter = (samples: number) => {
    put(...Array.from({ length: samples }, (_, k) => [1, k, 1, 0, 1]).flat())
    timers.shift()!.work()
    return timers[0]!.ms
  }
  sampler.start()
  t.equal(timers[0]!.ms, sampleMsMin)
  t.equal(pauseAfter((sampleMsMin * sampleShareMax) / sampleCostMs), sampleMsMin)
  t.equal(pauseAfter((2 * sampleMsMin * sampleShareMax) / sampleCostMs), 2 * sampleMsMin)
  t.equal(pauseAfter((20 * sampleMsMin * sampleShareMax) / sampleCostMs), sampleMsMax)
  t.equal(pauseAfter(0), sampleMsMin)
  t.equal(sampler.sample().rate, 1)
  sampler.close()
})
