/** Signals that fire with others. */
import { getEventListeners } from 'node:events'
import t from 'tap'
import { LightAbortSignal } from '../../src/async/light-abort-signal.ts'
import type { CancelSignal } from '../../src/base/cancel-signal.ts'

t.test('it fires with the other one, or by itself, and leaves no listener behind', async t => {
  const caller = new AbortController()
  const own = new LightAbortSignal(caller.signal)
  const other = new LightAbortSignal(caller.signal)
  own.abort()
  t.ok(own.signal.aborted)
  t.notOk(caller.signal.aborted || other.signal.aborted)
  caller.abort(new Error('why'))
  t.match(other.signal.reason, { message: 'why' })
  own.end()
  other.end()
  t.equal(getEventListeners(caller.signal, 'abort').length, 0)
  t.ok(new LightAbortSignal(AbortSignal.abort()).signal.aborted)
})

t.test(
  'listeners hear of it in order, each once, unless they have left; those that come afterwards do not',
  async t => {
    const own = new LightAbortSignal()
    const heard: string[] = []
    const [first, second, third] = ['first', 'second', 'third'].map(name => () => void heard.push(name))
    for (const listener of [first, second, third, first]) own.addEventListener('abort', listener!)
    own.removeEventListener('abort', second!)
    own.addEventListener('abort', { handleEvent: () => void heard.push('object') })
    own.abort(new Error('why'))
    own.abort(new Error('again'))
    own.addEventListener('abort', () => heard.push('late'))
    t.same(heard, ['first', 'third', 'object'])
    t.match(own.reason, { message: 'why' })
  },
)

t.test('one that has ended leaves nothing with the other one, and does not fire with it', async t => {
  const caller = new AbortController()
  const own = new LightAbortSignal(caller.signal)
  t.equal(getEventListeners(caller.signal, 'abort').length, 1)
  own.end()
  own.end()
  t.equal(getEventListeners(caller.signal, 'abort').length, 0)
  caller.abort()
  t.notOk(own.aborted)
})

t.test('its reason is that of the other one, one that is made of it, or that it was aborted', async t => {
  const own = new LightAbortSignal(new AbortController().signal, () => new Error('not called'))
  own.abort()
  t.match(own.reason, { name: 'AbortError' })
  const made = new LightAbortSignal(AbortSignal.abort(), () => new Error('made'))
  t.match(made.reason, { message: 'made' })
})

t.test('an AbortSignal may stand for it, and not the other way round', async t => {
  const given: CancelSignal = AbortSignal.abort(new Error('why'))
  t.match(given.reason, { message: 'why' })
  // Not called: the compiler is what is tested.
  const misuses = (own: LightAbortSignal) => [
    // @ts-expect-error it has no signals that depend on it
    AbortSignal.any([own]),
    // @ts-expect-error it has no other events
    own.addEventListener('close', () => {}),
  ]
  t.equal(misuses.length, 1)
})
