/** Waiting, but not for ever. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { valueWithin, withTimeout } from '../../src/async/with-timeout.ts'
import { nextIteration } from '../fixtures/deferred.ts'

t.test('what comes in time is passed on, and leaves no timer', async t => {
  t.equal(await withTimeout(60_000, Promise.resolve(5), () => new Error('late')), 5)
  await t.rejects(
    withTimeout(60_000, Promise.reject(new Error('mine')), () => new Error('late')),
    { message: 'mine' },
  )
  // A timer left behind would keep this file from ending.
})

t.test('what comes too late is an error', async t => {
  await t.rejects(
    withTimeout(1, new Promise(() => {}), () => new Error('late')),
    { message: 'late' },
  )
})

t.test('another value can stand in for one that comes too late', async t => {
  let lates = 0
  const late = () => ++lates
  t.equal(await valueWithin(60_000, Promise.resolve(5), late), 5)
  t.equal(lates, 0)
  t.equal(await valueWithin(1, new Promise<number>(() => {}), late), 1)
})

t.test('what has come in time is not late when this process was busy and could not see it', async t => {
  await nextIteration()
  // Made on another thread, within a moment.
  const made = new Promise<string>(resolve => randomBytes(1, () => resolve('in time')))
  const late = () => t.fail('it is not late')
  const value = valueWithin<string | boolean>(10, made, late)
  for (const endMs = performance.now() + 200; performance.now() < endMs; );
  t.equal(await value, 'in time')
  await nextIteration()
})
