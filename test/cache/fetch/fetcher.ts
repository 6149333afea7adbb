/**
 * The fetcher: each block is asked of the origin once, and goes to readers, to the store, or stays in memory for a
 * while.
 */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { FetchBudgets } from '../../../src/cache/fetch/fetch-budgets.ts'
import type { PrefetchListener } from '../../../src/cache/fetch/readahead-buffer.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { blockBytes, fetching } from '../../fixtures/fetching.ts'
import { forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

/** Notes what becomes of a prefetch. */
function listener() {
  const told: string[] = []
  const note = (what: string) => (run: { first: number; count: number }) =>
    void told.push(`${what} ${run.first}+${run.count}`)
  const expectation: PrefetchListener = { unitBlocks: 1, onRead: note('read'), onUnread: note('unread') }
  return { told, expectation }
}

t.test('blocks on their way are joined, and only the others are asked for, run by run', async t => {
  const { fetcher, stored, origin, settled, close } = await fetching(t)
  const gate = deferred()
  origin.gate = () => gate.promise
  const first = fetcher.fetchesFor(stored, 0, 0b00011n)
  t.same([first.isNew, first.fetches.length], [true, 1])
  const second = fetcher.fetchesFor(stored, 0, 0b10111n)
  t.equal(second.fetches[0], first.fetches[0])
  t.same(
    second.fetches.slice(1).map(({ run }) => run),
    [
      { first: 2, count: 1 },
      { first: 4, count: 1 },
    ],
  )
  const third = fetcher.fetchesFor(stored, 0, 0b00100n)
  t.same([third.isNew, third.fetches[0]], [false, second.fetches[1]])
  t.equal(fetcher.lacking(stored, 0, 0b111111n), 0b101000n)
  gate.resolve()
  await settled()
  t.same(origin.requests, ['read a 0 131072', 'read a 131072 65536', 'read a 262144 65536'])
  t.equal(stored.held(0), 0b10111n, 'the store has all of it')
  t.equal(fetcher.lacking(stored, 0, 0b11111n), 0b01000n)
  t.same(fetcher.fetchesFor(stored, 0, 0n), { fetches: [], isNew: false })
  await close()
})

t.test('a fetch that failed is not joined: the next reader asks again', async t => {
  const { fetcher, stored, origin, parts, settled, close } = await fetching(t)
  origin.failure = new CacheError('origin-failed', '503')
  const { fetches } = fetcher.fetchesFor(stored, 0, 1n)
  await t.rejects(fetches[0]!.arrival, { code: 'origin-failed' })
  t.equal(parts.fetches.size, 0)
  origin.failure = null
  t.equal(fetcher.fetchesFor(stored, 0, 1n).isNew, true)
  await settled()
  t.equal(stored.held(0), 1n)
  await close()
})

t.test('a reader that comes as a pass ends has its bytes fetched, whichever the moment', async t => {
  const { fetcher, stored, settled, close } = await fetching(t)
  for (let moment = 0; moment < 8; moment++) {
    const arrival = deferred<boolean>()
    fetcher.land(stored, { object: 0, run: { first: moment, count: 1 } }, arrival.promise)
    arrival.resolve(false)
    for (let k = 0; k < moment; k++) await Promise.resolve()
    const { fetches } = fetcher.fetchesFor(stored, 0, 1n << BigInt(moment))
    for (const inflight of fetches) inflight.acquire()
    await t.resolves(Promise.all(fetches.map(inflight => inflight.arrival)), `after ${moment}`)
  }
  await settled()
  await close()
})

t.test('what readers wait for stays within the budget of its origin; what is fetched ahead has another', async t => {
  const fetchBudgets = new FetchBudgets(2 * blockBytes, ['memory://origin'])
  const { fetcher, stored, origin, settled, close } = await fetching(t, { fetchBudgets })
  const gate = deferred()
  origin.gate = () => gate.promise
  for (const object of [0, 1, 2]) fetcher.fetchesFor(stored, object, 1n)
  t.same([origin.reads, fetcher.demanded, fetcher.demandedBytes], [2, 2, 3 * blockBytes])
  const { expectation } = listener()
  const ahead = fetcher.fetchAhead(stored, { object: 3, run: { first: 0, count: 1 } }, expectation, false)
  t.same([origin.reads, fetcher.demanded], [3, 2])
  gate.resolve()
  await ahead
  await settled()
  t.same([origin.reads, fetcher.demanded], [4, 0])
  await close()
})

t.test('what was fetched ahead is in memory until the store has it, and readers are told of', async t => {
  const promoting = deferred()
  const { fetcher, stored, parts, settled, close } = await fetching(t, {
    promote: async (into, extents) => {
      await promoting.promise
      return (await into.writeExtents(extents)).map(outcome => outcome === 'landed')
    },
  })
  const { told, expectation } = listener()
  await fetcher.fetchAhead(stored, { object: 0, run: { first: 2, count: 2 } }, expectation, false)
  t.equal(parts.readahead.usedBytes, 2 * blockBytes)
  const { fetches, isNew } = fetcher.fetchesFor(stored, 0, 0b100n)
  t.same([isNew, fetches[0]?.isPrefetched], [false, true], 'a reader that comes here need not wait')
  parts.readahead.touched(stored, 3 * blockBytes, 100)
  t.same(told, ['read 3+1'])
  promoting.resolve()
  await settled()
  await until(() => parts.readahead.usedBytes === 0, patienceMs, 'the page cache has it now')
  t.equal(stored.held(0), 0b1100n)
  parts.readahead.close()
  t.same(told, ['read 3+1', 'unread 2+1'])
  await close()
})

t.test('of a long stream the bytes stay in memory, although the store has them: its page cache does not', async t => {
  const { fetcher, stored, parts, settled, close } = await fetching(t)
  const { expectation } = listener()
  await fetcher.fetchAhead(stored, { object: 0, run: { first: 0, count: 1 } }, expectation, true)
  await settled()
  t.equal(stored.held(0), 1n)
  t.equal(parts.readahead.usedBytes, blockBytes)
  await close()
})

t.test('a prefetch that fails is told of as unread, and says when the image has changed', async t => {
  const { fetcher, stored, origin, image, parts, changed, close } = await fetching(t)
  for (const code of ['origin-failed', 'image-changed'] as const) {
    const { told, expectation } = listener()
    origin.failure = new CacheError(code, 'no')
    await fetcher.fetchAhead(stored, { object: 0, run: { first: 0, count: 1 } }, expectation, false)
    t.same(told, ['unread 0+1'])
    t.same([parts.fetches.size, parts.readahead.usedBytes], [0, 0])
    t.same(changed, code === 'image-changed' ? [image] : [])
  }
  await close()
})

t.test(
  'bytes that go by the store come as they were asked for; memory of a failed fetch is not used again',
  async t => {
    const { fetcher, origin, image, parts, close } = await fetching(t)
    origin.failure = new CacheError('origin-failed', '503')
    await t.rejects(fetcher.fetch(image, { offset: 5, length: 20_000 }, { signal }), { code: 'origin-failed' })
    t.equal(parts.memory.freeBytes, 0, 'the origin may still write to it')
    origin.failure = null
    const lease = await fetcher.fetch(image, { offset: 5, length: 20_000 }, { signal })
    t.ok(origin.bytes('a', 5, 20_000).equals(lease.bytes))
    lease.release()
    t.equal(parts.memory.freeBytes, 32_768)
    await t.rejects(fetcher.fetch(image, { offset: 0, length: 1 }, { signal: AbortSignal.abort() }), {
      code: 'aborted',
    })
    t.same(origin.requests, ['read a 5 20000', 'read a 5 20000'])
    await close()
  },
)

t.test('bytes that the store did not take stay for the next reader, until they are released', async t => {
  const { fetcher, stored, parts, origin, close } = await fetching(t, {
    promote: async (_, extents) => extents.map(() => false),
    mayPromote: () => false,
  })
  const [inflight] = fetcher.fetchesFor(stored, 0, 1n).fetches
  await inflight!.settled
  await until(() => parts.unpromoted.usedBytes === blockBytes, patienceMs, 'the unpromoted buffer')
  t.equal(fetcher.fetchesFor(stored, 0, 1n).isNew, false)
  fetcher.releaseBytes(stored, 0, 0b10n)
  t.equal(parts.unpromoted.usedBytes, blockBytes, 'other blocks')
  fetcher.releaseBytes(stored, 0, 0b11n)
  t.same([parts.unpromoted.usedBytes, parts.fetches.size], [0, 0])
  t.equal(fetcher.fetchesFor(stored, 0, 1n).isNew, true)
  await until(() => parts.unpromoted.usedBytes === blockBytes, patienceMs, 'the unpromoted buffer')
  t.equal(origin.reads, 2)
  await close()
})

t.test('the fetches end though a native one that was joined hangs at its origin', async t => {
  const { fetcher, stored, parts, close } = await fetching(t)
  stored.claims.claim(0, 1n)
  Object.defineProperty(stored.file, 'joinFetches', { value: () => [{ id: 7, first: 0, count: 1 }] })
  const { fetches } = fetcher.fetchesFor(stored, 0, 1n)
  t.equal(fetches.length, 1)
  parts.native.close()
  await parts.fetches.close()
  await t.rejects(fetches[0]!.arrival, { code: 'aborted' })
  await close()
})
