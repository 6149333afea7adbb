/** The clock of recency never goes back, and ends with a u32. */
import t from 'tap'
import { tickMs } from '../../../src/cache/evict/limits.ts'
import { RecencyClock } from '../../../src/cache/evict/recency-clock.ts'

t.test('every tick is heard of once, the first one too; it never goes back', async t => {
  const ticks: number[] = []
  let second = () => {}
  const clock = new RecencyClock(
    5,
    tick => void ticks.push(tick),
    (ms, work) => {
      t.equal(ms, tickMs)
      second = work
      return () => {}
    },
  )
  second()
  clock.advanceTo(9)
  clock.advanceTo(9)
  clock.advanceTo(3)
  t.same(ticks, [5, 6, 9])
  t.equal(clock.tick, 9)
  clock.close()
})

t.test('it stops at the largest tick that a table can hold', async t => {
  const clock = new RecencyClock(2 ** 32 - 2, () => {})
  for (let k = 0; k < 3; k++) clock.advance()
  t.equal(clock.tick, 2 ** 32 - 1)
  clock.close()
})
