/** The queue of prefetches: what begins, what waits, and what is given up. */
import t, { type Test } from 'tap'
import { maskOf, runsOf } from '../../../src/base/image.ts'
import type { Fetcher } from '../../../src/cache/fetch/fetcher.ts'
import { prefetchBytesMax, prefetchBytesMin, prefetchRequestsQueuedMax } from '../../../src/cache/fetch/limits.ts'
import { PrefetchAccuracy } from '../../../src/cache/prefetch/prefetch-accuracy.ts'
import { PrefetchQueue, type PrefetchRequest } from '../../../src/cache/prefetch/prefetch-queue.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { type Deferred, deferred, nextIteration } from '../../fixtures/deferred.ts'
import { fetching } from '../../fixtures/fetching.ts'

const blockBytes = 64 * 1024
const stored = { geometry: { blockBytes } } as unknown as StoredImage

const unknownPath = { bdpBytes: 0, bytesPerSecond: 0, bytesPerWait: 0, inFlightBytes: 0 }

/** A queue with fetches that end when the test says so. */
function queueing(_t: Test) {
  const state = { requestsMax: 2, demanded: 0, bdpBytes: 0, bytesPerWait: 0, hasRoom: true, lacking: ~0n }
  const begun: string[] = []
  const ends: Deferred<void>[] = []
  const log: string[] = []
  const fetcher = {
    get demanded() {
      return state.demanded
    },
    lacking: (_stored: StoredImage, _object: number, blocks: bigint) => blocks & state.lacking,
    claimAhead: (_stored: StoredImage, _object: number, blocks: bigint) => blocks,
    fetchAhead: (_stored: StoredImage, { object, run }: { object: number; run: { first: number; count: number } }) => {
      begun.push(`${object}: ${run.first}+${run.count}`)
      ends.push(deferred())
      return ends.at(-1)!.promise
    },
  } as unknown as Fetcher
  const queue = new PrefetchQueue({
    fetcher,
    requestsMax: () => state.requestsMax,
    hasRoom: () => state.hasRoom,
    pathOf: () => ({ ...unknownPath, bdpBytes: state.bdpBytes, bytesPerWait: state.bytesPerWait }),
  })
  const request = (object: number, count = 1, more: Partial<PrefetchRequest> = {}): PrefetchRequest => ({
    ...{
      stored,
      object,
      run: { first: 0, count },
      accuracy: new PrefetchAccuracy(),
      unit: 'piece',
      isPassing: false,
    },
    isWanted: () => true,
    onSkipped: () => void log.push(`skipped ${object}`),
    onRead: () => {},
    onUnread: () => {},
    ...more,
  })
  const end = async () => {
    ends.shift()!.resolve()
    await nextIteration()
  }
  return { state, begun, log, queue, request, end }
}

t.test('as many are under way as the origin gives turns to, one owner after the other', async t => {
  const { begun, queue, request, end } = queueing(t)
  queue.add(
    {},
    [1, 2, 3].map(object => request(object)),
  )
  queue.add(
    {},
    [11, 12].map(object => request(object)),
  )
  t.same(begun, ['1: 0+1', '2: 0+1'])
  t.same(queue.counters, { bytes: 2 * blockBytes, queuedRequests: 3, skippedRequests: 0 })
  for (let k = 0; k < 5; k++) await end()
  t.same(begun.slice(2), ['3: 0+1', '11: 0+1', '12: 0+1'])
  t.same(queue.counters, { bytes: 0, queuedRequests: 0, skippedRequests: 0 })
})

t.test('owners take turns: a long queue of one does not keep another waiting', async t => {
  const { state, begun, queue, request, end } = queueing(t)
  state.requestsMax = 1
  queue.add(
    {},
    [1, 2, 3].map(object => request(object)),
  )
  queue.add(
    {},
    [11].map(object => request(object)),
  )
  for (let k = 0; k < 4; k++) await end()
  t.same(begun, ['1: 0+1', '2: 0+1', '11: 0+1', '3: 0+1'])
})

t.test(
  'only what is neither held nor on its way is fetched, run by run; what is not wanted any more is not',
  async t => {
    const { state, begun, log, queue, request } = queueing(t)
    state.requestsMax = 10
    state.lacking = 0b1011n
    queue.add({}, [request(1, 4)])
    t.same(
      begun,
      runsOf(0b1011n & maskOf({ first: 0, count: 4 })).map(({ first, count }) => `1: ${first}+${count}`),
    )
    queue.add({}, [request(2, 1, { isWanted: () => false }), request(3)])
    t.same(begun.slice(2), ['3: 0+1'])
    t.same(log, [], 'it was not given up for want of room')
  },
)

t.test('blocks that a session thread claims after the look are its own: each is fetched once', async t => {
  const { fetcher, stored, origin, parts, settled, close } = await fetching(t)
  const foreign = 0b0110n
  const queue = new PrefetchQueue({
    fetcher,
    requestsMax: () => 4,
    // Asked between the look and the begin.
    hasRoom: () => stored.claims.claim(0, foreign) === foreign,
    pathOf: () => unknownPath,
  })
  const { request } = queueing(t)
  queue.add({}, [request(0, 4, { stored })])
  await settled()
  t.same(origin.requests, [`read a 0 ${blockBytes}`, `read a ${3 * blockBytes} ${blockBytes}`])
  t.equal(stored.claims.claimed(0), foreign, 'its claim stays until it ends it')
  t.equal(queue.counters.bytes, 0)
  parts.readahead.close()
  await close()
})

t.test('while no reader waits the bytes under way are bounded; a large one goes alone', async t => {
  const { state, begun, queue, request, end } = queueing(t)
  state.requestsMax = 1000
  const most = prefetchBytesMax / blockBytes / 64
  queue.add(
    {},
    Array.from({ length: most + 1 }, (_, object) => request(object, 64)),
  )
  t.equal(begun.length, most)
  t.equal(queue.counters.bytes, prefetchBytesMax)
  await end()
  t.equal(begun.length, most + 1)
})

t.test('while a reader waits as much is under way as fills the path, and a little at the least', async t => {
  const { state, begun, queue, request, end } = queueing(t)
  state.requestsMax = 1000
  state.demanded = 1
  const pieces = 100
  queue.add(
    {},
    Array.from({ length: pieces }, (_, object) => request(object)),
  )
  t.equal(begun.length, prefetchBytesMin / blockBytes)
  state.bdpBytes = 2 * prefetchBytesMin
  await end()
  t.equal(queue.counters.bytes, 2 * prefetchBytesMin)
  state.bytesPerWait = 3 * prefetchBytesMin
  await end()
  t.equal(queue.counters.bytes, 3 * prefetchBytesMin, 'by what delays say of the path')
  state.demanded = 0
  await end()
  t.equal(queue.counters.queuedRequests, 0)
  const large = queueing(t)
  large.state.demanded = 1
  large.queue.add(
    {},
    [1, 2].map(object => large.request(object, 64)),
  )
  t.same(large.begun, ['1: 0+64'], 'one that is larger goes when it is alone')
})

t.test('without room, or turns, it is given up and said so', async t => {
  const { state, begun, log, queue, request } = queueing(t)
  state.hasRoom = false
  queue.add({}, [request(1)])
  state.hasRoom = true
  state.requestsMax = 0
  queue.add({}, [request(2)])
  t.same([begun, log], [[], ['skipped 1', 'skipped 2']])
  t.equal(queue.counters.skippedRequests, 2)
})

t.test('one more than may wait is given up, and so is all that comes after the end', async t => {
  const { log, begun, queue, request, end } = queueing(t)
  queue.add(
    {},
    Array.from({ length: prefetchRequestsQueuedMax + 1 }, (_, object) => request(object)),
  )
  t.same(log, [`skipped ${prefetchRequestsQueuedMax}`], 'those that begin have waited')
  queue.close()
  queue.add({}, [request(7)])
  t.same(log.slice(1), ['skipped 7'])
  await end()
  t.equal(begun.length, 2)
  t.equal(queue.counters.queuedRequests, 0)
})

t.test('what becomes of the bytes is told in the units that were asked for, and counted', async t => {
  for (const [unit, unitBlocks] of [
    ['piece', 4],
    ['block', 1],
  ] as const) {
    const accuracy = new PrefetchAccuracy()
    const told: string[] = []
    let listener: Parameters<Fetcher['fetchAhead']>[2] | null = null
    const queue = new PrefetchQueue({
      fetcher: {
        demanded: 0,
        lacking: (_stored: StoredImage, _object: number, blocks: bigint) => blocks,
        claimAhead: (_stored: StoredImage, _object: number, blocks: bigint) => blocks,
        fetchAhead: async (...[, , expectation]: Parameters<Fetcher['fetchAhead']>) => {
          listener = expectation
        },
      } as unknown as Fetcher,
      ...{ requestsMax: () => 1, hasRoom: () => true, pathOf: () => unknownPath },
    })
    const note = { onRead: () => void told.push('read'), onUnread: () => void told.push('unread') }
    const rest = { stored, object: 0, isPassing: false, isWanted: () => true, onSkipped: () => {}, ...note }
    queue.add({}, [{ ...rest, run: { first: 0, count: 4 }, accuracy, unit }])
    t.equal(listener!.unitBlocks, unitBlocks)
    listener!.onRead({ first: 0, count: 1 })
    listener!.onUnread({ first: 1, count: 3 })
    t.same(told, ['read', 'unread'])
    const expected = { fetchedBytes: 4 * blockBytes, readBytes: blockBytes, unreadBytes: 3 * blockBytes }
    t.same(accuracy.counters, expected)
  }
})
