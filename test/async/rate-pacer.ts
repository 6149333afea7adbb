import t from 'tap'
import { RatePacer } from '../../src/async/rate-pacer.ts'

t.test('work is spread over time, and a pause is not made up for', async t => {
  let nowMs = 1000
  const pace = new RatePacer(1_000_000, () => nowMs)
  const { signal } = new AbortController()
  const startedMs = performance.now()
  await pace.spend(20_000, signal)
  await pace.spend(20_000, signal)
  t.ok(performance.now() - startedMs > 50, '20 ms, and 40 ms by a clock that stands still')
  nowMs += 10_000
  const laterMs = performance.now()
  await pace.spend(30_000, signal)
  t.ok(performance.now() - laterMs > 25)
})

t.test('another pace holds from the next piece on', async t => {
  const pace = new RatePacer(1_000_000_000, () => 1000)
  const { signal } = new AbortController()
  pace.set(10_000)
  const startedMs = performance.now()
  await pace.spend(5_000, signal)
  t.ok(performance.now() - startedMs > 450, '500 ms, not 5 us')
})
