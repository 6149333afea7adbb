/** The write budget: so many bytes a day, a burst, and no forgetting at a restart. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { WriteBudget } from '../../../src/cache/evict/write-budget.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const dayMs = 86_400_000

function world() {
  const clock = { nowMs: 1_000_000 }
  const kept = new Map<string, object>()
  const logger = keepingLogger()
  const puts = { count: 0, fails: false }
  const index = {
    counters: <T extends object>(name: string) => (kept.get(name) ?? null) as T | null,
    putCounters: async (name: string, counters: object) => {
      puts.count++
      if (puts.fails) throw new CacheError('index-failed', 'no')
      kept.set(name, counters)
    },
  }
  const open = (bytesPerDay: number, burstBytes: number) =>
    new WriteBudget({ bytesPerDay, burstBytes }, { index, logger, wallMs: () => clock.nowMs })
  return { clock, logger, puts, open }
}

t.test('the burst at once, then what a day brings, never more than the burst', async t => {
  const { clock, open } = world()
  const budget = open(24_000, 5000)
  t.ok(budget.take(5000))
  t.notOk(budget.take(1), 'it is on its way')
  budget.written(5000)
  budget.arrived(5000)
  t.notOk(budget.take(1))
  clock.nowMs += dayMs / 24
  t.notOk(budget.take(1001))
  t.ok(budget.take(1000))
  budget.arrived(1000) // Dropped: nothing was written.
  t.ok(budget.take(1000))
  budget.arrived(1000)
  clock.nowMs += 10 * dayMs
  t.match(budget.status, { bytes: 5000, totalBytes: 5000, leftBytes: 5000 })
  t.notOk(budget.take(5001))
  await budget.close()
})

t.test('it outlives a restart, and so does the count of all bytes; the time between counts', async t => {
  const { clock, open } = world()
  const first = open(24_000, 5000)
  first.take(5000)
  first.written(4800)
  await first.close()
  const second = open(24_000, 5000)
  t.match(second.status, { bytes: 0, totalBytes: 4800, leftBytes: 200 })
  second.written(100)
  await second.close()
  clock.nowMs += dayMs / 24
  const third = open(24_000, 5000)
  t.match(third.status, { bytes: 0, totalBytes: 4900, leftBytes: 1100 })
  await third.close()
})

t.test('a crash forgives a sixteenth of the burst at most', async t => {
  const { open } = world()
  const first = open(24_000, 16_000)
  first.written(999)
  first.written(8001)
  await new Promise(resolve => setImmediate(resolve))
  first.written(999)
  const second = open(24_000, 16_000)
  t.match(second.status, { totalBytes: 9000, leftBytes: 7000 })
  await Promise.all([first.close(), second.close()])
})

t.test('without a budget all may be written, and it is counted; a budget that comes has its burst', async t => {
  const { open } = world()
  const budget = open(0, 0)
  t.ok(budget.take(1e15))
  budget.written(1e15)
  budget.arrived(1e15)
  t.match(budget.status, { bytes: 1e15, leftBytes: null })
  budget.change({ bytesPerDay: 24_000, burstBytes: 5000 })
  t.ok(budget.take(5000))
  t.notOk(budget.take(1))
  t.ok(budget.take(1, true), 'a repair')
  budget.arrived(5001)
  budget.change({ bytesPerDay: 24_000, burstBytes: 1000 })
  t.notOk(budget.take(1001))
  await budget.close()
})

t.test('bytes written before there was a budget are no debt: one that comes with a restart has its burst', async t => {
  const { clock, open } = world()
  const without = open(0, 0)
  without.take(1e12)
  without.written(1e12)
  without.arrived(1e12)
  await without.close()
  clock.nowMs += 1000
  const first = open(24_000, 5000)
  t.match(first.status, { totalBytes: 1e12, leftBytes: 5000 })
  t.ok(first.take(5000))
  t.notOk(first.take(1))
  await first.close()
})

t.test('what cannot be saved is said, and saved with the next', async t => {
  const { puts, logger, open } = world()
  const budget = open(24_000, 16_000)
  puts.fails = true
  budget.written(8000)
  await new Promise(resolve => setImmediate(resolve))
  t.match(logger.lines, [{ level: 'warn', facts: { err: { code: 'index-failed' } } }])
  puts.fails = false
  await budget.close()
  const again = open(24_000, 16_000)
  t.equal(again.status.totalBytes, 8000)
  await again.close()
  t.equal(puts.count, 2)
})
