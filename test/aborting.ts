/** Signals that fire with others. */
import { getEventListeners } from 'node:events'
import t from 'tap'
import { abortingWith } from '../src/aborting.ts'

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
