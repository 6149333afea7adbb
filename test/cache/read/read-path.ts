/** The read path put together: what it asks of store and origins, what it counts, and how its limits change. */
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { type MountedOrigin, OriginTable } from '../../../src/cache/fetch/origin-table.ts'
import { Promoter } from '../../../src/cache/fetch/promoter.ts'
import { ReadPath, type ReadPathContext } from '../../../src/cache/read/read-path.ts'
import type { OriginReader } from '../../../src/native/origin-reader.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal, slowTime } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const blockBytes = 64 * 1024

class RefusingPromoter extends Promoter {
  refuses = false
  override offer(...offer: Parameters<Promoter['offer']>): ReturnType<Promoter['offer']> {
    return this.refuses ? Promise.resolve(offer[1].map(() => 'full')) : super.offer(...offer)
  }
}

async function reading(t: Test, more: Partial<ReadPathContext> = {}, mounted: Partial<MountedOrigin> = {}) {
  const origin = new MemoryOrigin()
  origin.put('a', 32 * 64 * blockBytes) // So large that its bytes are computed as they are asked for.
  const rooms = await openRooms({ directory: t.testdir(), origin, blockBytes, capacityBytes: 256 * 2 ** 20 })
  const { store, index } = rooms
  const image = identify(await origin.lookup('a'))
  origin.requests.length = 0
  const changed: Image[] = []
  const path = new ReadPath({
    ...{ store, index, logger: silentLogger, fetchBytesMax: 2 ** 26, readAheadBytesMax: 0 },
    origins: new OriginTable([{ directory: null, origin, ...mounted }], 60, slowTime),
    now: slowTime,
    catalog: { isRecorded: () => true, imageChanged: of => void changed.push(of) },
    digester: { isSound: () => true, check: () => {}, condemn: async () => {} },
    evictor: { check: async () => {}, checkNow: async () => {} },
    modes: { of: () => 'promote' },
    promoter: new Promoter(),
    gate: { enter: () => null, settled: () => {} },
    sampler: { used: () => {} },
    hitSets: { used: () => {}, fetchedAhead: () => {}, wanted: () => {} },
    foreign: { touch: () => {} },
    ...more,
  })
  const read = async (offset: number, length: number) => {
    const bytes = await path.reader.read(image, offset, length, { signal })
    return origin.bytes('a', offset, length).equals(bytes)
  }
  const settled = () => until(() => path.fetchesUnderWay === 0, patienceMs, 'the promotions')
  const close = async () => {
    await path.close()
    await rooms.close()
  }
  return { origin, rooms, image, path, changed, read, settled, close }
}

t.test('a miss goes through origin and store; a fetch that the store refused is under way no more', async t => {
  const promoter = new RefusingPromoter()
  const { origin, path, read, settled, close } = await reading(t, { promoter })
  t.ok(await read(10, 1000))
  await settled()
  t.ok(await read(10, 1000))
  t.same(path.reader.counters.counts, { hits: 1, misses: 1, hitBytes: 1000, missBytes: 1000 })
  promoter.refuses = true
  t.ok(await read(10 * blockBytes, 1000))
  await settled()
  t.equal(path.fetches.size, 1, 'its bytes are in memory still')
  t.ok(await read(10 * blockBytes + 500, 1000))
  t.equal(origin.reads, 2)
  await close()
})

t.test('while the disk must not be waited for, reads go to the origin, and nothing is asked of the store', async t => {
  let uses = 0
  const { origin, rooms, read, close } = await reading(t, {
    catalog: { isRecorded: () => ++uses > 0, imageChanged: () => {} },
  })
  rooms.store.health.stalled('read', 1)
  t.ok(await read(10, 1000))
  t.same([uses, origin.requests], [0, ['read a 10 1000']])
  await close()
})

t.test('when the origin has another version, session threads read it no more, and the catalog hears of it', async t => {
  const left: string[] = []
  const direct = { follow: () => {}, unfollow: (imageId: string) => void left.push(imageId), count: () => {} }
  const { origin, image, changed, read, settled, close } = await reading(t, {}, { direct })
  t.ok(await read(0, 10))
  await settled()
  origin.failure = new CacheError('image-changed', 'another one')
  await t.rejects(read(blockBytes, 10), { code: 'image-changed' })
  t.same([left, changed], [[image.id], [image]])
  await close()
})

t.test('session threads get no origin to read a damaged image from', async t => {
  let isSound = true
  const given: ((reader: OriginReader | null) => void)[] = []
  const direct = {
    follow: (_: unknown, use: (typeof given)[0]) => void given.push(use),
    unfollow: () => {},
    count: () => {},
  }
  const digester = { isSound: () => isSound, check: () => {}, condemn: async () => {} }
  const { image, path, close } = await reading(t, { digester }, { direct })
  const { file } = (await path.open(image))!
  const set: unknown[] = []
  Object.defineProperty(file, 'setFetchOrigin', { value: (reader: unknown) => void set.push(reader) })
  const reader = {} as OriginReader
  given[0]!(reader)
  isSound = false
  given[0]!(reader)
  t.same(set, [reader, null])
  await close()
})

t.test('nothing is fetched ahead before that is allowed, nor while the origin has no turns for it', async t => {
  const sequence = async (read: (offset: number, length: number) => Promise<boolean>, from: number) => {
    for (let block = from; block < from + 24; block++) t.ok(await read(block * blockBytes, blockBytes))
  }
  const { path, read, settled, close } = await reading(t)
  await sequence(read, 0)
  t.equal(path.prefetchCounters.purposes.stream.fetchedBytes, 0)
  path.reconfigure({ fetchBytesMax: 2 ** 26, readAheadBytesMax: 2 ** 24 })
  await sequence(read, 100)
  t.ok(path.prefetchCounters.purposes.stream.fetchedBytes > 0)
  await settled()
  await close()
  const busy = await reading(t, { readAheadBytesMax: 2 ** 24 }, { prefetchRequestsMax: 0 })
  await sequence(busy.read, 0)
  t.equal(busy.path.prefetchCounters.purposes.stream.fetchedBytes, 0)
  await busy.settled()
  await busy.close()
})

t.test('another budget of fetches holds from the next one on', async t => {
  const { origin, path, read, settled, close } = await reading(t, { fetchBytesMax: blockBytes })
  const gate = deferred()
  origin.gate = () => gate.promise
  const reads = [0, 10, 20].map(block => read(block * blockBytes, 10))
  await until(() => origin.reads === 1, patienceMs, 'the first one')
  path.reconfigure({ fetchBytesMax: 3 * blockBytes, readAheadBytesMax: 0 })
  await until(() => origin.reads === 3, patienceMs, 'the others')
  gate.resolve()
  t.same(await Promise.all(reads), [true, true, true])
  await settled()
  await close()
})

t.test('a stop cancels what has not arrived', async t => {
  const { origin, rooms, path, read } = await reading(t)
  origin.gate = (_key, _offset, own) =>
    new Promise((_, reject) => own.addEventListener('abort', () => reject(new CacheError('aborted', 'cancelled'))))
  const left = t.rejects(read(0, 10), { code: 'aborted' })
  await until(() => origin.reads === 1, patienceMs, 'the fetch')
  await path.close()
  await left
  t.equal(path.fetches.size, 0)
  await path.close()
  await rooms.close()
})
