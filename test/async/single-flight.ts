/** Single flight: concurrent calls of one key share one call. */

import t from 'tap'
import { SingleFlight } from '../../src/async/single-flight.ts'
import type { CancelSignal } from '../../src/base/cancel-signal.ts'
import { CacheError } from '../../src/base/errors.ts'
import { deferred, nextIteration } from '../fixtures/deferred.ts'

const { signal } = new AbortController()

t.test('callers of one key share a call; those of another key have their own', async t => {
  const fetches = new SingleFlight<number>()
  const work = deferred<number>()
  let calls = 0
  const call = () => {
    calls++
    return work.promise
  }
  const shared = [1, 2, 3].map(() => fetches.run('a', signal, call))
  const other = fetches.run('b', signal, call)
  t.same([calls, fetches.size], [2, 2])
  work.resolve(7)
  t.same(await Promise.all([...shared, other]), [7, 7, 7, 7])
  t.equal(fetches.size, 0)
  t.equal(await fetches.run('a', signal, async () => 8), 8, 'the next one begins afresh')
})

t.test('all callers get the error, and the next one begins afresh', async t => {
  const fetches = new SingleFlight<number>()
  const fail = async () => {
    throw new CacheError('origin-failed', '503')
  }
  const calls = [1, 2].map(() => fetches.run('a', signal, fail))
  for (const call of calls) await t.rejects(call, { code: 'origin-failed' })
  t.equal(await fetches.run('a', signal, async () => 8), 8)
})

t.test('a caller may leave; the call is cancelled with the last one, and not joined after that', async t => {
  const fetches = new SingleFlight<number>()
  const work = deferred<number>()
  let cancelled = false
  const call = (shared: CancelSignal) => {
    shared.addEventListener('abort', () => {
      cancelled = true
    })
    return work.promise
  }
  const leaving = [new AbortController(), new AbortController()]
  const calls = leaving.map(({ signal }) => fetches.run('a', signal, call))
  leaving[0]!.abort()
  await t.rejects(calls[0]!, { code: 'aborted' })
  t.notOk(cancelled)
  leaving[1]!.abort()
  await t.rejects(calls[1]!, { code: 'aborted' })
  t.ok(cancelled)
  t.equal(fetches.size, 0)
  const next = deferred<number>()
  const fresh = fetches.run('a', signal, () => next.promise)
  work.reject(new CacheError('aborted', 'cancelled'))
  await nextIteration()
  t.equal(fetches.size, 1, 'the end of the cancelled call is not that of the new one')
  next.resolve(9)
  t.equal(await fresh, 9)
})
