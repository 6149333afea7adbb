import t, { type Test } from 'tap'
import { DeferredFills } from '../../../src/cache/fetch/deferred-fill.ts'
import {
  deferredFillBytesMax,
  deferredFillMsMax,
  deferredFillQuietMs,
  deferredFillsMax,
} from '../../../src/cache/fetch/limits.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'
import { until } from '../../fixtures/until.ts'

/** Rests by a clock and a demand of the test's own; each fetch goes on until it is let go. */
function world(t: Test) {
  const log: string[] = []
  const open = new Map<string, () => void>()
  const clock = fakeClock()
  const state = { demanded: 0 }
  const rests = new DeferredFills({ ...clock, demanded: () => state.demanded })
  const ending = new AbortController()
  t.teardown(() => ending.abort())
  const add = (name: string, { bytes = 10, signal = ending.signal } = {}) => {
    let hurry: () => void = () => {}
    const hurried = new Promise<void>(resolve => {
      hurry = resolve
    })
    const ended = rests.run(bytes, hurried, signal, () => {
      log.push(name)
      return new Promise<void>(resolve => open.set(name, resolve))
    })
    ended.catch(() => {}) // Who waits for it sees it; at the end of the test nobody does.
    return { ended, hurry }
  }
  const began = (count: number) => until(() => log.length === count, 5000, `${count} rests`)
  return { rests, clock, state, log, open, add, began }
}

t.test('rests wait until no reader has asked for a moment, and then some go at once', async t => {
  const { rests, clock, log, open, add, began } = world(t)
  rests.demand()
  const all = Array.from({ length: deferredFillsMax + 2 }, (_, k) => add(String(k)))
  t.equal(rests.waiting, all.length)
  await clock.advance(deferredFillQuietMs - 1)
  t.same(log, [])
  await clock.advance(1)
  await began(deferredFillsMax)
  t.equal(rests.waiting, 2)
  open.get('0')!()
  await began(deferredFillsMax + 1)
  for (const name of log) open.get(name)!()
  await began(all.length)
  for (const name of log) open.get(name)!()
  await Promise.all(all.map(({ ended }) => ended))
})

t.test('while readers ask on and on, a rest waits so long and no longer', async t => {
  const { clock, state, add, began, log } = world(t)
  state.demanded = 1
  add('late')
  await clock.advance(deferredFillMsMax - 1)
  t.same(log, [])
  await clock.advance(1)
  await began(1)
})

t.test('the oldest go when too many bytes wait, and one at once that somebody wants', async t => {
  const { state, add, log, began } = world(t)
  state.demanded = 1
  add('oldest', { bytes: deferredFillBytesMax / 2 })
  add('second', { bytes: deferredFillBytesMax / 2 })
  t.same(log, [])
  const third = add('third', { bytes: 1 })
  await began(1)
  t.same(log, ['oldest'])
  third.hurry()
  await began(2)
  t.same(log, ['oldest', 'third'])
})

t.test('one that nobody wants any more never begins', async t => {
  const { rests, state, add, log } = world(t)
  state.demanded = 1
  const controller = new AbortController()
  const { ended } = add('left', { signal: controller.signal })
  controller.abort()
  await t.rejects(ended, { code: 'aborted' })
  t.equal(rests.waiting, 0)
  t.same(log, [])
})
