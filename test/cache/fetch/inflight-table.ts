/** The in-flight table: fetches by object, and the claims that keep session threads from fetching the same blocks. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import type { BlockRun } from '../../../src/base/image.ts'
import { InflightFetch } from '../../../src/cache/fetch/inflight-fetch.ts'
import { type ClaimedImage, InflightTable } from '../../../src/cache/fetch/inflight-table.ts'
import type { JoinedFetch } from '../../../src/native/addon.ts'
import { ClaimTable } from '../../../src/store/image/claim-table.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'

const bytes = new Uint8Array(12)

/** An image of four objects, and the native fetches that a session thread began of it. */
function imageWith(native: JoinedFetch[] = []) {
  const claims = new ClaimTable(new ArrayBuffer(64))
  const joins: bigint[] = []
  const stored: ClaimedImage = {
    claims,
    lockKey: object => `a ${object}`,
    file: {
      joinFetches: (_object, blocks) => {
        joins.push(blocks)
        return native.splice(0)
      },
    },
  }
  return { stored, claims, joins }
}

/** A fetch that notes its end; its bytes come when the test says so. */
function inFlight(run: BlockRun = { first: 2, count: 3 }, object = 0) {
  const origin = deferred<Uint8Array>()
  const seen = { cancelled: false, freed: [] as boolean[] }
  const fetch = new InflightFetch(object, run, {
    fetch: signal => {
      signal.addEventListener('abort', () => {
        seen.cancelled = true
        origin.reject(new CacheError('aborted', 'cancelled'))
      })
      return origin.promise
    },
    free: hasFailed => void seen.freed.push(hasFailed),
  })
  return { fetch, seen, ...origin }
}

const nothing = () => {}

t.test('a reader joins what has blocks of its object, unless it was cancelled', async t => {
  const table = new InflightTable()
  const { stored } = imageWith()
  const low = inFlight({ first: 0, count: 2 })
  const high = inFlight({ first: 2, count: 2 })
  table.add(stored, low.fetch, nothing)
  table.add(stored, high.fetch, nothing)
  t.same(table.overlapping(stored, 0, 0b0010n), [low.fetch])
  t.same(table.overlapping(stored, 0, 0b0110n), [low.fetch, high.fetch])
  t.same(table.overlapping(stored, 0, 0b1_0000n), [])
  t.same(table.overlapping(stored, 1, 0b1111n), [], 'another object')
  high.fetch.acquire()()
  t.same(table.overlapping(stored, 0, 0b0110n), [low.fetch])
  low.resolve(bytes)
})

t.test('what leaves the table ends, once', async t => {
  const table = new InflightTable()
  const { stored } = imageWith()
  const one = inFlight()
  const other = inFlight()
  table.add(stored, one.fetch, nothing)
  table.add(stored, other.fetch, nothing)
  one.resolve(bytes)
  await one.fetch.arrival
  table.remove(stored, one.fetch)
  table.remove(stored, one.fetch)
  t.equal(table.size, 1)
  t.same(one.seen.freed, [false])
  await one.fetch.settled
  t.same(table.overlapping(stored, 0, ~0n), [other.fetch])
  other.resolve(bytes)
})

t.test('a stop cancels what has not arrived, and waits until all have left the table', async t => {
  const table = new InflightTable()
  const { stored } = imageWith()
  const [coming, here] = [inFlight(), inFlight({ first: 0, count: 1 }, 1)]
  table.add(stored, coming.fetch, nothing)
  table.add(stored, here.fetch, nothing)
  here.resolve(bytes)
  await here.fetch.arrival
  let closed = false
  const closing = table.close().then(() => {
    closed = true
  })
  await t.rejects(coming.fetch.arrival, { code: 'aborted' })
  t.notOk(here.seen.cancelled, 'it is on its way to the store')
  table.remove(stored, coming.fetch)
  await nextIteration()
  t.notOk(closed)
  table.remove(stored, here.fetch)
  await closing
  await table.close()
})

t.test('what is claimed is released once, with its fetch', async t => {
  const table = new InflightTable()
  const { stored, claims, joins } = imageWith()
  const first = table.claim(stored, 0, 0b11100n)
  t.same(first, { joined: [], native: [], rest: 0b11100n, claims: 0b11100n })
  t.equal(claims.claimed(0), 0b11100n)
  const { fetch, resolve } = inFlight()
  let released = 0
  table.add(stored, fetch, () => released++)
  t.same(table.claim(stored, 0, 0b00110n), { joined: [fetch], native: [], rest: 0b10n, claims: 0b10n })
  t.equal(table.lacking(stored, 0, 0b100110n), 0b100000n, 'a claim without a fetch here is a native one')
  t.same(joins, [])
  table.remove(stored, fetch)
  table.remove(stored, fetch)
  t.equal(released, 1)
  resolve(bytes)
})

t.test("a native fetch is joined, and only what it does not bring is the caller's", async t => {
  const table = new InflightTable()
  const { stored, claims, joins } = imageWith([{ id: 7, first: 1, count: 2 }])
  claims.claim(0, 0b0110n)
  t.same(table.claim(stored, 0, 0b1111n), {
    joined: [],
    native: [{ id: 7, first: 1, count: 2 }],
    rest: 0b1001n,
    claims: 0b1001n,
  })
  t.same(joins, [0b0110n])
})

t.test('a native fetch that ended between two looks leaves its blocks to the caller', async t => {
  const table = new InflightTable()
  const { stored, claims } = imageWith()
  claims.claim(0, 0b0110n)
  stored.file.joinFetches = () => {
    claims.release(0, 0b0110n)
    return []
  }
  t.same(table.claim(stored, 0, 0b0111n), { joined: [], native: [], rest: 0b0111n, claims: 0b0111n })
  t.equal(claims.claimed(0), 0b0111n)
})

t.test('blocks whose fetch was given up here, and has not ended, are fetched again without a second claim', async t => {
  const table = new InflightTable()
  const { stored, claims, joins } = imageWith()
  claims.claim(0, 0b11100n)
  const { fetch } = inFlight()
  table.add(stored, fetch, () => claims.release(0, 0b11100n))
  fetch.acquire()()
  t.same(table.claim(stored, 0, 0b01100n), { joined: [], native: [], rest: 0b01100n, claims: 0n })
  t.same(joins, [])
  await t.rejects(fetch.arrival, { code: 'aborted' })
})
