/** Signals that fire with others. */
import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { abortingWith, LightAbortSignal } from '../../src/async/light-abort-signal.ts'

t.test('it fires with the other one, or by itself, and leaves no listener behind', async t => {
  const caller = new AbortController()
  const own = abortingWith(caller.signal)
  const other = abortingWith(caller.signal)
  own.abort()
  t.ok(own.signal.aborted)
  t.notOk(caller.signal.aborted || other.signal.aborted)
  caller.abort(new Error('why'))
  t.match(other.signal.reason, { message: 'why' })
  own.end()
  other.end()
  t.equal(getEventListeners(caller.signal, 'abort').length, 0)
  t.ok(abortingWith(AbortSignal.abort()).signal.aborted)
})

t.test(
  'listeners hear of it in order, each once, unless they have left; those that come afterwards do not',
  async t => {
    const own = new LightAbortSignal()
    const heard: string[] = []
    const [first, second, third] = ['first', 'second', 'third'].map(name => () => void heard.push(name))
    for (const listener of [first, second, third, first]) own.addEventListener('abort', listener!)
    own.addEventListener('other', () => heard.push('another event'))
    own.removeEventListener('abort', second!)
    own.addEventListener('abort', { handleEvent: ({ type }) => void heard.push(type) })
    own.abort(new Error('why'))
    own.abort(new Error('again'))
    own.addEventListener('abort', () => heard.push('late'))
    t.same(heard, ['first', 'third', 'abort'])
    t.match(own.reason, { message: 'why' })
    t.throws(() => own.throwIfAborted(), { message: 'why' })
  },
)

t.test('Node takes it for an AbortSignal', async t => {
  const own = new LightAbortSignal(new AbortController().signal, () => new Error('not called'))
  const waiting = sleep(60_000, null, { signal: own.signal })
  own.abort()
  t.match(own.reason, { name: 'AbortError' })
  await t.rejects(waiting, { name: 'AbortError' })
  const made = new LightAbortSignal(AbortSignal.abort(), () => new Error('made'))
  t.match(made.reason, { message: 'made' })
})
