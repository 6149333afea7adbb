/**
 * Waiting that ends when the caller has gone.
 */
import { getEventListeners } from 'node:events'
import t from 'tap'
import { abortable } from '../../src/async/abortable.ts'

const never = new Promise<never>(() => {})

t.test('work that ends is what the caller gets, and no listener is left', async t => {
  const { signal } = new AbortController()
  t.equal(await abortable(Promise.resolve(7), signal), 7)
  await t.rejects(abortable(Promise.reject(new Error('no')), signal), { message: 'no' })
  await new Promise(resolve => setImmediate(resolve))
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('a caller who leaves, or has left, is let go at once', async t => {
  await t.rejects(abortable(never, AbortSignal.abort()), { code: 'aborted' })
  const controller = new AbortController()
  const waiting = abortable(never, controller.signal)
  controller.abort(new Error('why'))
  await t.rejects(waiting, { code: 'aborted', cause: { message: 'why' } })
})

t.test('an error that comes after the caller has gone troubles nobody', async t => {
  const controller = new AbortController()
  let fail: (error: Error) => void = () => {}
  const waiting = abortable(
    new Promise((_, reject) => {
      fail = reject
    }),
    controller.signal,
  )
  controller.abort()
  await t.rejects(waiting, { code: 'aborted' })
  fail(new Error('late'))
  // An unhandled rejection would end this process.
  await new Promise(resolve => setImmediate(resolve))
})

t.test('a caller who has left gets nothing, even of work that was done before', async t => {
  const signal = AbortSignal.abort()
  await t.rejects(abortable(Promise.resolve(7), signal), { code: 'aborted' })
  await t.rejects(abortable(Promise.reject(new Error('no')), signal), { code: 'aborted' })
})
