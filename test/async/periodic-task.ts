/** Work that is done every so many milliseconds. */
import t from 'tap'
import { PeriodicTask } from '../../src/async/periodic-task.ts'
import { runEvery } from '../../src/async/timers.ts'
import { patienceMs, until } from '../fixtures/until.ts'

/** A timer that goes off when the test says so. */
function fakeTimer() {
  const armed = new Set<() => void>()
  const periods: number[] = []
  const every = (ms: number, work: () => void) => {
    periods.push(ms)
    armed.add(work)
    return () => void armed.delete(work)
  }
  return { every, periods, armed, goOff: () => armed.forEach(work => void work()) }
}

t.test('it runs each time from its start to its stop, and may be started again', t => {
  const { every, periods, armed, goOff } = fakeTimer()
  let runs = 0
  const task = new PeriodicTask(70, () => void runs++, every)
  task.stop()
  t.same([task.isStarted, periods], [false, []], 'made is not started')
  task.start()
  task.start()
  t.same([task.isStarted, periods, runs], [true, [70], 0], 'one timer, and nothing at once')
  goOff()
  goOff()
  t.equal(runs, 2)
  task.stop()
  task.stop()
  t.same([task.isStarted, armed.size], [false, 0])
  task.start()
  goOff()
  t.same([periods, runs], [[70, 70], 3])
  t.end()
})

t.test('no run begins while another one has not ended', async t => {
  const { every, goOff } = fakeTimer()
  const ends: (() => void)[] = []
  const task = new PeriodicTask(1, () => new Promise<void>(resolve => ends.push(resolve)), every)
  task.start()
  goOff()
  goOff()
  t.equal(ends.length, 1)
  ends[0]!()
  await new Promise(resolve => setImmediate(resolve))
  goOff()
  t.equal(ends.length, 2)
})

t.test('a task may stop itself, and the real timer runs it again and again', async t => {
  let runs = 0
  const task = new PeriodicTask(1, () => {
    if (++runs === 3) task.stop()
  })
  task.start()
  await until(() => runs === 3, patienceMs, 'three runs')
  t.equal(task.isStarted, false)
  t.teardown(runEvery(60_000, () => {}))
  // A task that is never stopped, and a timer of its own, would keep this file from ending.
  new PeriodicTask(60_000, () => {}).start()
})
