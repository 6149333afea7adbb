/** In-flight fetches: shared by readers, cancelled without them, and their memory freed after the last one. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type FetchPlan, InflightFetch } from '../../../src/cache/fetch/inflight-fetch.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'

const block = { first: 2, count: 3 } // Blocks 2, 3 and 4.
const bytes = new Uint8Array(12)

/** A fetch of blocks 2 to 4: its bytes come when the test says so, and it notes its end. */
function inFlight(more: Partial<FetchPlan> = {}, run = block) {
  const origin = deferred<Uint8Array>()
  const seen = { cancelled: false, freed: [] as boolean[] }
  const fetch = new InflightFetch(0, run, {
    fetch: signal => {
      signal.addEventListener('abort', () => {
        seen.cancelled = true
        origin.reject(new CacheError('aborted', 'cancelled'))
      })
      return origin.promise
    },
    free: hasFailed => void seen.freed.push(hasFailed),
    ...more,
  })
  return { fetch, seen, ...origin }
}

const prefetch = { isPassing: false, whenReleased: (then: () => void) => then() }

t.test('it goes on while one reader is left, and is cancelled with the last one', async t => {
  const { fetch, seen } = inFlight()
  const [first, second] = [fetch.acquire(), fetch.acquire()]
  first()
  t.notOk(seen.cancelled)
  t.notOk(fetch.cancelled)
  second()
  t.ok(seen.cancelled)
  t.ok(fetch.cancelled)
  await t.rejects(fetch.arrival, { code: 'aborted' })
  t.ok(fetch.hasFailed)
})

t.test('once its bytes are here, readers may leave', async t => {
  const { fetch, seen, resolve } = inFlight()
  const leave = fetch.acquire()
  resolve(bytes)
  t.equal(await fetch.arrival, bytes)
  leave()
  fetch.cancel()
  t.notOk(seen.cancelled)
  t.notOk(fetch.hasFailed)
})

t.test('a prefetch waits for readers, and saves them the wait from its arrival on', async t => {
  const { fetch, seen, resolve } = inFlight({ ahead: prefetch })
  fetch.acquire()()
  t.notOk(seen.cancelled)
  t.notOk(fetch.isPrefetched, 'a reader that comes now has to wait')
  resolve(bytes)
  await fetch.arrival
  t.ok(fetch.isPrefetched)
  const demanded = inFlight()
  demanded.resolve(bytes)
  await demanded.fetch.arrival
  t.notOk(demanded.fetch.isPrefetched, 'readers waited for this one')
})

t.test('one that a session thread began goes on without readers, which wait for it like for any other', async t => {
  const { fetch, seen, resolve } = inFlight({ isNative: true })
  fetch.acquire()()
  t.notOk(seen.cancelled)
  resolve(bytes)
  await fetch.arrival
  t.notOk(fetch.isPrefetched)
})

t.test('its memory is freed once, when it has ended and no reader looks at it any more', async t => {
  const { fetch, seen, resolve } = inFlight()
  const leave = fetch.acquire()
  resolve(bytes)
  await fetch.arrival
  fetch.end()
  t.same(seen.freed, [], 'a reader still has the bytes')
  leave()
  t.same(seen.freed, [false])
  fetch.end()
  t.same(seen.freed, [false])
  t.throws(() => fetch.acquire(), /after its end/)
})

t.test('memory of a fetch that failed is marked: the origin may still write to it', async t => {
  const { fetch, seen, reject } = inFlight()
  reject(new CacheError('origin-failed', '503'))
  await t.rejects(fetch.arrival, { code: 'origin-failed' })
  fetch.end()
  t.same(seen.freed, [true])
})

t.test('its end in the store is told to callers before it and after it', async t => {
  const { fetch } = inFlight()
  let settled = false
  const before = fetch.settled.then(() => {
    settled = true
  })
  await nextIteration()
  t.notOk(settled)
  fetch.settle()
  await before
  await fetch.settled
  const other = inFlight()
  other.fetch.end()
  await other.fetch.settled
})

t.test('each reader is a reason to offer bytes again that the store did not take', async t => {
  const { fetch } = inFlight()
  let offers = 0
  fetch.retained = { offer: () => void offers++, releaseBytes: () => {} }
  fetch.acquire()
  fetch.acquire()
  t.equal(offers, 2)
})
