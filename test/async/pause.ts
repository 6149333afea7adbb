/** Waiting for a time. */
import { getEventListeners } from 'node:events'
import t from 'tap'
import { LightAbortSignal } from '../../src/async/light-abort-signal.ts'
import { pause } from '../../src/async/pause.ts'

t.test('a pause ends after its time, and leaves no listener', async t => {
  const { signal } = new AbortController()
  const startMs = performance.now()
  await pause(30, signal)
  // A timer may come a little early.
  t.ok(performance.now() - startMs > 25)
  t.equal(getEventListeners(signal, 'abort').length, 0)
  await pause(1)
  await pause(0)
  await pause(-5, signal)
})

t.test('a signal ends a pause at once, also before it begins, and no error comes of it', async t => {
  for (const controller of [new AbortController(), new LightAbortSignal()]) {
    const paused = pause(2 ** 30, controller.signal)
    controller.abort()
    await paused
    await pause(2 ** 30, controller.signal)
    t.ok(controller.signal.aborted)
  }
  // A timer left behind would keep this file from ending.
})
