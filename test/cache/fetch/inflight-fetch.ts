/** In-flight fetches: shared by readers, cancelled without them, and their memory freed after the last one. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type FetchPlan, InflightFetch, InflightTable } from '../../../src/cache/fetch/inflight-fetch.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'

const block = { first: 2, count: 3 } // Blocks 2, 3 and 4.
const bytes = new Uint8Array(12)

/** A fetch of blocks 2 to 4 whose bytes come when the test says so, and which notes how it ended. */
function inFlight(more: Partial<FetchPlan> = {}, run = block) {
  const origin = deferred<Uint8Array>()
  const seen = { cancelled: false, demanded: false, freed: [] as boolean[] }
  const fetch = new InflightFetch(0, run, {
    fetch: (signal, hurry) => {
      void hurry.then(() => {
        seen.demanded = true
      })
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

t.test('of one in two steps the rest is fetched although its reader left with the first part', async t => {
  for (const firstCame of [false, true]) {
    const part = deferred<Uint8Array>()
    const { fetch, seen } = inFlight({ early: () => ({ offset: 0, length: 4, arrival: part.promise }) })
    const leave = fetch.acquire()
    if (firstCame) part.resolve(bytes)
    await nextIteration()
    leave()
    t.equal(seen.cancelled, !firstCame)
  }
})

t.test('the rest is in a hurry once a reader demands all of it; a fetch in one step always is', async t => {
  const part = deferred<Uint8Array>()
  const stepwise = inFlight({ early: () => ({ offset: 0, length: 4, arrival: part.promise }) })
  await nextIteration()
  t.notOk(stepwise.seen.demanded)
  stepwise.fetch.makeDemand()
  stepwise.fetch.makeDemand()
  await nextIteration()
  t.ok(stepwise.seen.demanded)
  const whole = inFlight()
  await nextIteration()
  t.ok(whole.seen.demanded)
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

t.test('a reader joins what has blocks of its object, unless it was cancelled', async t => {
  const table = new InflightTable()
  const low = inFlight({}, { first: 0, count: 2 })
  const high = inFlight({}, { first: 2, count: 2 })
  table.add('a 0', low.fetch)
  table.add('a 0', high.fetch)
  t.same(table.overlapping('a 0', 0b0010n), [low.fetch])
  t.same(table.overlapping('a 0', 0b0110n), [low.fetch, high.fetch])
  t.same(table.overlapping('a 0', 0b1_0000n), [])
  t.same(table.overlapping('a 1', 0b1111n), [], 'another object')
  high.fetch.acquire()()
  t.same(table.overlapping('a 0', 0b0110n), [low.fetch])
  low.resolve(bytes)
})

t.test('what leaves the table ends, once', async t => {
  const table = new InflightTable()
  const one = inFlight()
  const other = inFlight()
  table.add('a 0', one.fetch)
  table.add('a 0', other.fetch)
  one.resolve(bytes)
  await one.fetch.arrival
  table.remove('a 0', one.fetch)
  table.remove('a 0', one.fetch)
  table.remove('a 1', other.fetch)
  t.equal(table.size, 1)
  t.same(one.seen.freed, [false])
  await one.fetch.settled
  t.same(table.overlapping('a 0', ~0n), [other.fetch])
  other.resolve(bytes)
})

t.test('a stop cancels what has not arrived, and waits until all have left the table', async t => {
  const table = new InflightTable()
  const [coming, here] = [inFlight(), inFlight()]
  table.add('a 0', coming.fetch)
  table.add('a 1', here.fetch)
  here.resolve(bytes)
  await here.fetch.arrival
  let closed = false
  const closing = table.close().then(() => {
    closed = true
  })
  await t.rejects(coming.fetch.arrival, { code: 'aborted' })
  t.notOk(here.seen.cancelled, 'it is on its way to the store')
  table.remove('a 0', coming.fetch)
  await nextIteration()
  t.notOk(closed)
  table.remove('a 1', here.fetch)
  await closing
  await table.close()
})
