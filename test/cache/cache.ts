import t from 'tap'
import { CacheError } from '../../src/base/errors.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { forever, openRooms } from '../fixtures/rooms.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const signal = forever
const KiB = 1024

t.test('a cold read fetches its covering blocks once, and a warm one asks the origin nothing', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 1000 * KiB + 7)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const cold = await rooms.cache.read(image, 5000, 3000, { signal })
  t.ok(origin.bytes('a', 5000, 3000).equals(cold))
  t.same(origin.requests, ['lookup a', `read a 4096 4096`])
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
  const warm = await rooms.cache.read(image, 4096, 4096, { signal })
  t.ok(origin.bytes('a', 4096, 4096).equals(warm))
  t.equal(origin.reads, 1)
  t.match(rooms.cache.counters.reads, { hits: 1, misses: 1, hitBytes: 4096, missBytes: 3000 })
  await rooms.close()
})

t.test('a hundred readers of one cold extent cause one fetch, also between the answer and the promotion', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 1000 * KiB)
  const rooms = await openRooms({
    directory: t.testdir(),
    origin,
    blockBytes: 64 * KiB,
    capacityBytes: 256 * 1024 * KiB,
  })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const first = await rooms.cache.read(image, 0, 100, { signal })
  t.equal(first.length, 100)
  await Promise.all(Array.from({ length: 100 }, (_, k) => rooms.cache.read(image, k * 600, 512, { signal })))
  t.equal(origin.reads, 1)
  await rooms.close()
})

t.test('a read that crosses objects and meets resident, missing and zero blocks is whole', async t => {
  const origin = new MemoryOrigin()
  const sizeBytes = 700 * KiB + 13
  origin.put('a', sizeBytes, 3, [[240 * KiB, 280 * KiB]])
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  await rooms.cache.read(image, 250 * KiB, 4 * KiB, { signal })
  await rooms.cache.read(image, 600 * KiB, 9 * KiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  const whole = await rooms.cache.read(image, 0, sizeBytes, { signal })
  t.ok(origin.bytes('a', 0, sizeBytes).equals(whole))
  await until(() => rooms.cache.residence(image).complete, patienceMs, 'completeness')
  t.equal(rooms.cache.residence(image).residentBytes, sizeBytes)
  t.ok(rooms.store.capacity.usedBytes < sizeBytes + 400 * KiB, 'zeros take no space beyond the index')
  await rooms.close()
})

t.test('after a restart everything is read without a request, and nothing is published unverified', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 900 * KiB + 1)
  const directory = t.testdir()
  const first = await openRooms({ directory, origin })
  const { image } = await first.cache.lookup(null, 'a', { signal })
  await first.cache.list(null, '', { signal })
  await first.cache.read(image, 0, image.sizeBytes, { signal })
  await first.close()
  const before = origin.requests.length
  const second = await openRooms({ directory, origin })
  const entry = await second.cache.lookup(null, 'a', { signal })
  t.same(entry.image, image)
  const listed = await second.cache.list(null, '', { signal })
  t.same(
    Array.from({ length: listed.length }, (_, k) => listed.at(k)?.name),
    ['a'],
  )
  t.equal(second.store.find(image.id)?.residency.resident(0), 0n)
  const bytes = await second.cache.read(entry.image, 0, image.sizeBytes, { signal })
  t.ok(origin.bytes('a', 0, image.sizeBytes).equals(bytes))
  t.equal(origin.requests.length, before)
  t.match(second.cache.counters.reads, { hits: 1, misses: 0 })
  await second.close()
})

t.test('a inflight that nobody wants any more is cancelled, and the next reader starts afresh', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 100 * KiB)
  let cancelled = 0
  origin.gate = (_key, _offset, signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        cancelled++
        reject(new CacheError('aborted', 'cancelled'))
      })
    })
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const controllers = [new AbortController(), new AbortController()]
  const reads = controllers.map(({ signal }) => rooms.cache.read(image, 0, 10, { signal }))
  const outcomes = reads.map(read => t.rejects(read, { code: 'aborted' }))
  await until(() => origin.reads === 1, patienceMs, 'the fetch')
  controllers[0]!.abort()
  await outcomes[0]
  t.equal(cancelled, 0, 'somebody still wants it')
  controllers[1]!.abort()
  await outcomes[1]
  t.equal(cancelled, 1)
  origin.gate = async () => {}
  t.ok(origin.bytes('a', 0, 10).equals(await rooms.cache.read(image, 0, 10, { signal })))
  await rooms.close()
})

t.test('an origin that fails is an error of this read only, and nothing of it is kept', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 100 * KiB)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  origin.failure = new CacheError('origin-failed', '503')
  await t.rejects(rooms.cache.read(image, 0, 10, { signal }), { code: 'origin-failed' })
  origin.failure = null
  t.ok(origin.bytes('a', 0, 10).equals(await rooms.cache.read(image, 0, 10, { signal })))
  t.equal(rooms.cache.counters.reads.misses, 1)
  await rooms.close()
})

t.test('when the origin has another version, reads of the old one fail and the name means the new one', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 100 * KiB, 1)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const old = await rooms.cache.lookup(null, 'a', { signal })
  const kept = origin.bytes('a', 0, 4096)
  await rooms.cache.read(old.image, 0, 4096, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
  origin.put('a', 100 * KiB, 2)
  t.equal(
    (await rooms.cache.lookup(null, 'a', { signal })).nodeId,
    old.nodeId,
    'not asked again within revalidateSeconds',
  )
  await t.rejects(rooms.cache.read(old.image, 8192, 10, { signal }), { code: 'image-changed' })
  const fresh = await rooms.cache.lookup(null, 'a', { signal })
  t.not(fresh.nodeId, old.nodeId)
  t.ok(
    kept.equals(await rooms.cache.read(old.image, 0, 4096, { signal })),
    'what is here of the old version is still served',
  )
  t.ok(origin.bytes('a', 0, 4096).equals(await rooms.cache.read(fresh.image, 0, 4096, { signal })))
  await rooms.close()
})

t.test(
  'blocks of an image that is not recorded yet are not promoted; it is recorded when that is possible',
  async t => {
    const origin = new MemoryOrigin()
    origin.put('a', 100 * KiB)
    const directory = t.testdir()
    const rooms = await openRooms({ directory, origin })
    const { putImage } = rooms.index
    rooms.index.putImage = () => Promise.reject(new CacheError('index-failed', 'full'))
    const { image } = await rooms.cache.lookup(null, 'a', { signal })
    const readAll = async () => {
      const bytes = await rooms.cache.read(image, 0, image.sizeBytes, { signal })
      t.ok(origin.bytes('a', 0, image.sizeBytes).equals(bytes))
      await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
      return rooms.cache.residence(image).residentBytes
    }
    t.equal(await readAll(), 0)
    rooms.index.putImage = putImage
    await rooms.cache.retireVersions() // Catches up.
    t.equal(await readAll(), image.sizeBytes)
    await rooms.close()
    const next = await openRooms({ directory, origin })
    t.equal(next.cache.residence(image).residentBytes, image.sizeBytes)
    await next.close()
  },
)
