/** Errors by their codes. */
import t from 'tap'
import {
  abortedBy,
  CacheError,
  errorCodes,
  isCacheError,
  isErrorCode,
  mayPass,
  messageOf,
  throwIfAborted,
} from '../../src/base/errors.ts'

t.test('an error is known by its code, not by its class alone', async t => {
  const error = new CacheError('not-found', 'a: not there', { cause: new Error('404') })
  t.ok(isCacheError(error))
  t.ok(isCacheError(error, 'aborted', 'not-found'))
  t.notOk(isCacheError(error, 'aborted'))
  t.notOk(isCacheError(new Error('not-found'), 'not-found'))
  t.notOk(isCacheError({ code: 'not-found' }, 'not-found'))
  t.match(error, { name: 'CacheError', code: 'not-found', cause: { message: '404' } })
})

t.test('codes are those of the list, and nothing that every object has', async t => {
  t.ok(Object.keys(errorCodes).every(isErrorCode))
  for (const text of ['', 'Not-Found', 'toString', 'constructor']) t.notOk(isErrorCode(text), text)
})

t.test('only an origin that may be back is worth asking again', async t => {
  const passing = Object.keys(errorCodes)
    .filter(isErrorCode)
    .filter(code => mayPass(new CacheError(code, '')))
  t.same(passing, ['origin-unreachable', 'origin-timeout', 'origin-failed'])
  t.notOk(mayPass(new Error('ECONNRESET')))
})

t.test('whatever was thrown has a message', async t => {
  t.equal(messageOf(new Error('no')), 'no')
  t.same([messageOf('text'), messageOf(undefined), messageOf(7)], ['text', 'undefined', '7'])
})

t.test('a signal that has fired is an error with its reason', async t => {
  const controller = new AbortController()
  t.doesNotThrow(() => throwIfAborted(controller.signal))
  const reason = new Error('left')
  controller.abort(reason)
  t.throws(() => throwIfAborted(controller.signal), { code: 'aborted', cause: reason })
  t.match(abortedBy(controller.signal), { code: 'aborted', cause: reason })
})
