import t from 'tap'
import { OwnTime } from '../../src/async/own-time.ts'
import type { RunEvery } from '../../src/async/timers.ts'

/** Ticks come when the test says so. */
function ticking() {
  let [tick, everyMs] = [null as (() => void) | null, 0]
  const every: RunEvery = (ms, work) => {
    tick = work
    everyMs = ms
    return () => {
      tick = null
    }
  }
  return { every, tick: () => tick?.(), isArmed: () => tick !== null, everyMs: () => everyMs }
}

t.test('a timer counts ticks and no lateness: one that comes late counts once', async t => {
  const loop = ticking()
  const time = new OwnTime(loop.every)
  let fired = 0
  time.after(50, () => fired++)
  const ticks = Math.ceil(50 / loop.everyMs())
  for (let k = 0; k < ticks; k++) loop.tick()
  t.equal(fired, 0, 'the tick under way when it was armed does not count')
  loop.tick()
  t.equal(fired, 1)
  t.notOk(loop.isArmed(), 'nothing ticks without timers')
})

t.test('a cancelled timer does not run, and the last one stops the ticks', async t => {
  const loop = ticking()
  const time = new OwnTime(loop.every)
  const cancel = time.after(10, () => t.fail('it was cancelled'))
  t.equal(time.armed, 1)
  cancel()
  cancel()
  t.equal(time.armed, 0)
  t.notOk(loop.isArmed())
})
