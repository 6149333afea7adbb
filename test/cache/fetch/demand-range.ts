import t, { type Test } from 'tap'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { CacheError } from '../../../src/base/errors.ts'
import type { Image } from '../../../src/base/image.ts'
import { demandRange, hasAll, remainderOf } from '../../../src/cache/fetch/demand-range.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms } from '../../fixtures/rooms.ts'
import { until } from '../../fixtures/until.ts'

const signal = forever
const KiB = 1024

/** A cache over an origin that is near, and one image. */
async function openNear(t: Test) {
  const origin = new MemoryOrigin()
  origin.put('a', 1000 * KiB)
  const near = { directory: null, origin, isNear: true }
  const sizes = { blockBytes: 64 * KiB, capacityBytes: 256 * 1024 * KiB }
  const rooms = await openRooms({ directory: t.testdir(), origin: [near], ...sizes })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const isRight = async (offset: number, length: number) =>
    origin.bytes('a', offset, length).equals(await rooms.cache.read(image, offset, length, { signal }))
  const settled = () => until(() => rooms.cache.counters.inflightFetches === 0, 5000, 'the promotions')
  const reads = () => origin.requests.filter(line => line.startsWith('read')).map(line => line.slice('read a '.length))
  return { origin, rooms, image, isRight, settled, reads }
}

t.test('what a reader wants comes first, the rest of its block after it, and no byte twice', async t => {
  const { rooms, image, isRight, settled, reads } = await openNear(t)
  t.ok(await isRight(130 * KiB + 5, 4000))
  t.same(reads(), [`${128 * KiB} ${8 * KiB}`], 'it had its answer before the rest was asked for')
  await settled()
  t.same(reads().slice(1), [`${136 * KiB} ${56 * KiB}`])
  t.equal(rooms.cache.residence(image).residentBytes, 64 * KiB)
  t.ok(await isRight(128 * KiB, 64 * KiB))
  t.equal(reads().length, 2)
  await rooms.close()
})

t.test(
  'whoever wants another part of the block has the rest brought at once, and large reads come in one piece',
  async t => {
    const { rooms, isRight, settled, reads } = await openNear(t)
    t.same(await Promise.all([isRight(32 * KiB, 100), isRight(0, 100), isRight(33 * KiB, 200)]), [true, true, true])
    t.same(reads(), [`${32 * KiB} ${4 * KiB}`, `0 ${32 * KiB}`, `${36 * KiB} ${28 * KiB}`])
    t.ok(await isRight(200 * KiB, 100 * KiB))
    t.same(reads().slice(3), [`${192 * KiB} ${128 * KiB}`])
    await settled()
    await rooms.close()
  },
)

t.test('a first part that fails is an error, and nothing of its block is held or asked for', async t => {
  const { origin, rooms, image, isRight, settled, reads } = await openNear(t)
  origin.failure = new CacheError('origin-failed', 'it fails')
  await t.rejects(rooms.cache.read(image, 0, 100, { signal }), { code: 'origin-failed' })
  origin.failure = null
  await settled()
  t.equal(reads().length, 1)
  t.equal(rooms.cache.residence(image).residentBytes, 0)
  t.ok(await isRight(0, 100))
  await settled()
  await rooms.close()
})

t.test('a reader who leaves before the first part ends it, and a stop ends the rests', async t => {
  const { origin, rooms, image, reads } = await openNear(t)
  const aborted = (_key: string, _offset: number, its: CancelSignal) =>
    new Promise<void>(resolve => its.addEventListener('abort', () => resolve(), { once: true }))
  origin.gate = aborted
  const controller = new AbortController()
  const read = rooms.cache.read(image, 0, 100, controller)
  await until(() => reads().length === 1, 5000, 'the request')
  controller.abort()
  await t.rejects(read, { code: 'aborted' })
  await until(() => rooms.cache.counters.inflightFetches === 0, 5000, 'its end')
  origin.gate = async () => {}
  await rooms.cache.read(image, 64 * KiB, 100, { signal })
  origin.gate = aborted
  await until(() => reads().length === 3, 5000, 'the rest')
  await rooms.close()
  t.equal(reads().length, 3)
})

t.test('ranges: the first part in whole units, never most of the extent', async t => {
  const extent = { offset: 65536, length: 65536 }
  t.same(demandRange(extent, { offset: 65536 + 4095, length: 2 }), { offset: 65536, length: 8192 })
  t.same(demandRange(extent, { offset: 0, length: 65537 }), { offset: 65536, length: 4096 })
  t.equal(demandRange(extent, { offset: 65536, length: 16385 }), null)
  t.same(
    demandRange({ offset: 0, length: 5000 }, { offset: 4500, length: 100 }),
    { offset: 4096, length: 904 },
    'to the end',
  )
  t.same(remainderOf(extent, { offset: 65536, length: 4096 }), [{ offset: 69632, length: 61440 }])
  t.equal(remainderOf(extent, { offset: 69632, length: 4096 }).length, 2)
  t.ok(hasAll({ offset: 65536, length: 4096 }, extent, { offset: 0, length: 69632 }))
  t.notOk(hasAll({ offset: 65536, length: 4096 }, extent, { offset: 0, length: 69633 }))
})

const nobodyFollows = { follow: () => {}, unfollow: () => {} }

t.test('of what native threads were told the rest is not fetched where the store would not take it', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 1000 * KiB)
  const direct = { ...nobodyFollows, count: () => {} }
  const mounted = { directory: null, origin, isNear: true, direct }
  const rooms = await openRooms({ directory: t.testdir(), origin: [mounted], blockBytes: 64 * KiB })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  await rooms.cache.open(image)
  const limits = {
    fetchBytesMax: 2 ** 20,
    readAheadBytesMax: 0,
    origins: [mounted],
    scrub: { bytesPerSecond: 2 ** 20, intervalMs: 1000 },
  }
  rooms.cache.reconfigure({ ...limits, promotionBytesMax: -1 })
  rooms.cache.originReadDone(image, 70 * KiB, origin.bytes('a', 70 * KiB, 1000), 1)
  t.match(rooms.cache.counters, { inflightFetches: 0, reads: { misses: 1 } })
  rooms.cache.reconfigure({ ...limits, promotionBytesMax: 2 ** 20 })
  rooms.cache.originReadDone(image, 70 * KiB, origin.bytes('a', 70 * KiB, 1000), 1)
  t.equal(rooms.cache.counters.inflightFetches, 1)
  await rooms.close()
})

t.test(
  'what native threads were told is kept: the rest of the block follows, and no byte is fetched twice',
  async t => {
    const origin = new MemoryOrigin()
    origin.put('a', 1000 * KiB)
    const told: number[] = []
    const direct = { ...nobodyFollows, count: (_image: Image, bytes: number) => void told.push(bytes) }
    const sizes = { blockBytes: 64 * KiB, capacityBytes: 256 * 1024 * KiB }
    const mounted = { directory: null, origin, isNear: true, direct }
    const rooms = await openRooms({ directory: t.testdir(), origin: [mounted], ...sizes })
    const { image } = await rooms.cache.lookup(null, 'a', { signal })
    // One that came before anybody has opened the image is counted, and that is all.
    rooms.cache.originReadDone(image, 70 * KiB, origin.bytes('a', 70 * KiB, 1000), 1)
    t.equal(rooms.cache.counters.inflightFetches, 0)
    await rooms.cache.open(image)
    rooms.cache.originReadDone(image, 70 * KiB, origin.bytes('a', 70 * KiB, 1000), 1)
    await until(() => rooms.cache.counters.inflightFetches === 0, 5000, 'the rest')
    const end = 70 * KiB + 1000
    t.same(origin.requests.slice(1), [`read a ${64 * KiB} ${6 * KiB}`, `read a ${end} ${128 * KiB - end}`])
    t.ok(origin.bytes('a', 64 * KiB, 64 * KiB).equals(await rooms.cache.read(image, 64 * KiB, 64 * KiB, { signal })))
    t.equal(origin.reads, 2)
    rooms.cache.originReadDone(image, 80 * KiB, origin.bytes('a', 80 * KiB, 100), 1)
    t.equal(rooms.cache.counters.inflightFetches, 0, 'held already')
    t.same(told, [1000, 1000, 100])
    t.match(rooms.cache.counters.reads, { hits: 1, misses: 3, missBytes: 2100 })
    await rooms.close()
  },
)
