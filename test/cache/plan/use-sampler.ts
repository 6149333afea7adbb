/** The sampler: native samples and reads of the main thread in one log, at a bounded cost. */
import t from 'tap'
import { sampleMsMax, sampleMsMin } from '../../../src/cache/plan/limits.ts'
import { sampleAll } from '../../../src/cache/plan/sample-hash.ts'
import { UseSampler } from '../../../src/cache/plan/use-sampler.ts'

function world(slowMs = 0) {
  const told: number[] = []
  const timers: { ms: number; work: () => void }[] = []
  let samples = new Float64Array(0)
  const native = {
    setSampling: (below: number) => void told.push(below),
    take: () => {
      for (const endMs = performance.now() + slowMs; performance.now() < endMs; );
      const taken = samples
      samples = new Float64Array(0)
      return { samples: taken, hits: 1000 }
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
})

t.test('a slow taking is followed by a longer pause, and nothing else', async t => {
  const { sampler, timers } = world(5)
  sampler.start()
  t.equal(timers[0]!.ms, sampleMsMin)
  timers.shift()!.work()
  t.ok(timers[0]!.ms >= 250 && timers[0]!.ms <= sampleMsMax, `${timers[0]!.ms} ms after 5`)
  t.equal(sampler.sample().rate, 1)
  sampler.close()
})
