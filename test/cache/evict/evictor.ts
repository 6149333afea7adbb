import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { evictionPolicies } from '../../../src/cache/evict/eviction-policy.ts'
import { Evictor } from '../../../src/cache/evict/evictor.ts'
import { evictRoundsMax, indexHighShare } from '../../../src/cache/evict/limits.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import type { Store } from '../../../src/store/store.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const MiB = 1024 * KiB
const objectBytes = 256 * KiB // At blocks of 4 KiB.

t.test('over the high watermark the least recently used objects go, exactly, down to the low one', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 12 * MiB)
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 12 * MiB })
  const { capacity } = rooms.store
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const order = Array.from({ length: 34 }, (_, k) => (k * 7) % 34)
  for (const [k, object] of order.entries()) {
    await rooms.cache.read(image, object * objectBytes, objectBytes, { signal })
    rooms.clock.advance()
    if (k % 8 !== 7) continue
    // Bytes set aside for unwritten records must not fill the cache.
    await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
    await rooms.store.flush()
  }
  const stored = rooms.store.find(image.id)!
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  await rooms.cache.makeRoom()
  // One hit makes the coldest object the hottest.
  rooms.clock.advance()
  await rooms.cache.read(image, order[0]! * objectBytes, 10, { signal })
  const held = () => order.map(object => stored.held(object) !== 0n)
  t.equal(held().indexOf(false), -1, 'all of it fits below the high watermark')
  t.match(rooms.cache.counters.eviction, { objects: 0, bytes: 0 })
  for (let object = 34; rooms.cache.counters.eviction.objects === 0 && object < 48; object++) {
    await rooms.cache.read(image, object * objectBytes, objectBytes, { signal })
    await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
    await rooms.store.flush()
    await rooms.cache.makeRoom()
  }
  await rooms.store.flush()
  await rooms.cache.makeRoom()
  t.ok(rooms.cache.counters.eviction.objects > 0)
  t.ok(capacity.usedBytes <= capacity.lowBytes + objectBytes)
  const after = held()
  t.equal(after[0], true, 'it was used again')
  const firstKept = after.indexOf(true, 1)
  const evicted = firstKept - 1
  t.match(rooms.cache.counters.eviction, { objects: evicted, bytes: evicted * objectBytes })
  t.ok(after.slice(firstKept).every(Boolean), 'no object that stays was used before one that went')
  await rooms.close()
})

t.test(
  'an operator chooses who goes after a pass over what is never used again: that pass, or by recency the others',
  async t => {
    const origin = new MemoryOrigin()
    origin.put('a', 12 * MiB)
    for (const evictionPolicy of evictionPolicies) {
      const rooms = await openRooms({ directory: t.testdir(), origin })
      const { store, cache, clock } = rooms
      const { image } = await cache.lookup(null, 'a', { signal })
      const use = async (objects: readonly number[]) => {
        for (const object of objects) {
          clock.advance()
          await cache.read(image, object * objectBytes, objectBytes, { signal })
        }
        await until(() => cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
        await store.flush()
      }
      const pins = { kept: () => new Set<string>() }
      const parts = { store, logger: silentLogger, pins, unwanted: () => [], now: () => 0, evictionPolicy }
      const evictor = new Evictor(parts)
      const evict = async () => {
        for (let bytes = 32 * MiB; store.capacity.excessBytes <= 0; bytes -= 128 * KiB) store.capacity.resize(bytes)
        await evictor.check()
        store.capacity.resize(64 * MiB)
      }
      await use(Array.from({ length: 30 }, (_, k) => k))
      await evict()
      const again = [...store.find(image.id)!.heldObjects()]
      await use(again)
      const once = Array.from({ length: 10 }, (_, k) => 35 + k)
      await use(once)
      clock.advance()
      await evict()
      const held = new Set(store.find(image.id)!.heldObjects())
      const gone = (objects: readonly number[]) => objects.filter(object => !held.has(object)).length
      const [expected, others] = evictionPolicy === 'adaptive' ? [once, again] : [again, once]
      t.ok(gone(expected) > 0, `${evictionPolicy}: ${gone(expected)} went`)
      t.equal(gone(others), 0, evictionPolicy)
      await evictor.close()
      await rooms.close()
    }
  },
)

t.test('an index over its budget gives up records, though their blocks take no space', async t => {
  const origin = new MemoryOrigin()
  origin.put('zeros', 4096 * MiB, 1, [[0, 4096 * MiB]])
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 32 * MiB })
  const { image } = await rooms.cache.lookup(null, 'zeros', { signal })
  const stored = (await rooms.store.use(image))!
  const zeros = Buffer.alloc(4096)
  const landings: Promise<unknown>[] = []
  for (let object = 0; object < 16_000; object++) {
    stored.touch(object)
    landings.push(stored.writeBlocks(object, object % 64, zeros))
    if (object % 500 !== 499) continue
    await Promise.all(landings.splice(0))
    rooms.clock.advance() // Those that come next are younger.
    await rooms.store.flush()
    await rooms.cache.makeRoom()
    t.ok(rooms.store.indexShare < 1, `${object + 1} records: the budget holds`)
  }
  t.ok(rooms.store.indexShare <= indexHighShare)
  t.ok(rooms.cache.counters.eviction.objects > 1000)
  t.equal([...stored.heldObjects()].length, 16_000 - rooms.cache.counters.eviction.objects)
  t.ok(stored.held(15_999) !== 0n, 'the last one is here')
  await rooms.close()
})

t.test('a stop does not wait for the end of a long pass', async t => {
  const origin = new MemoryOrigin()
  origin.put('zeros', 4096 * MiB, 1, [[0, 4096 * MiB]])
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 256 * MiB })
  const { image } = await rooms.cache.lookup(null, 'zeros', { signal })
  const stored = (await rooms.store.use(image))!
  const zeros = Buffer.alloc(4096)
  const objects = 12_000
  for (let object = 0; object < objects; object++) {
    stored.touch(object)
    const landing = stored.writeBlocks(object, object % 64, zeros)
    if (object % 1000 === 999) await landing
  }
  await rooms.store.flush()
  rooms.store.capacity.resize(16 * MiB)
  const pass = rooms.cache.makeRoom()
  const counters = () => rooms.cache.counters.eviction.objects
  await until(() => counters() > 0, patienceMs, 'the first piece')
  t.ok(counters() < objects / 4, 'the counters show how far it is')
  await rooms.cache.close()
  await pass
  t.ok(counters() < objects / 2, `${counters()} evicted`)
  await rooms.close()
})

t.test('a ceiling that is lowered holds at once for promotions, and soon for what is there', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 20 * MiB)
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 32 * MiB })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  await rooms.cache.read(image, 0, 18 * MiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  await rooms.store.flush()
  rooms.store.capacity.resize(12 * MiB)
  t.equal(rooms.store.capacity.reserve(1), false)
  await rooms.cache.makeRoom()
  t.ok(rooms.store.capacity.usedBytes <= 12 * MiB)
  t.ok(rooms.store.capacity.usedBytes <= rooms.store.capacity.lowBytes)
  t.ok(origin.bytes('a', 0, 20 * MiB).equals(await rooms.cache.read(image, 0, 20 * MiB, { signal })))
  await rooms.close()
})

t.test('a ceiling is kept when what was granted before has landed, too', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 20 * MiB)
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 32 * MiB })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  await rooms.cache.read(image, 0, 10 * MiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  await rooms.store.flush()
  const { capacity } = rooms.store
  t.equal(capacity.reserve(4 * MiB), true)
  capacity.resize(12 * MiB)
  const { store } = rooms
  const { flush } = store
  let looks = 0
  store.flush = () => {
    looks++
    return flush.call(store)
  }
  let fits = false
  const fitted = rooms.cache.fit().then(() => {
    fits = true
  })
  await rooms.cache.makeRoom()
  await until(() => looks >= 3, patienceMs, 'several looks at what is used')
  t.ok(capacity.usedBytes > capacity.capacityBytes, 'over, with what is still being written')
  t.equal(fits, false)
  capacity.settle(4 * MiB, 4 * MiB)
  await fitted
  t.ok(capacity.usedBytes <= capacity.lowBytes, 'that counted for eviction when it had landed')
  await capacity.release(4 * MiB, async () => {})
  await rooms.close()
})

t.test('evictions that fail are tried at longer and longer pauses, and said once', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 12 * MiB)
  const logger = keepingLogger()
  let nowMs = 0
  const options = { origin, logger, capacityBytes: 32 * MiB, now: () => nowMs }
  const rooms = await openRooms({ directory: t.testdir(), ...options })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  await rooms.cache.read(image, 0, 12 * MiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  await rooms.store.flush()
  const { forget } = rooms.index
  let tries = 0
  rooms.index.forget = () => {
    tries++
    return Promise.reject(new CacheError('index-failed', 'no'))
  }
  rooms.store.capacity.resize(12 * MiB)
  await rooms.cache.makeRoom()
  t.equal(tries, 1)
  const pins = { kept: () => new Set<string>() }
  const evictor = new Evictor({ store: rooms.store, logger, pins, unwanted: () => [], now: () => nowMs })
  tries = 0
  await evictor.check()
  t.equal(tries, 1)
  for (let k = 0; k < 100; k++) await evictor.check()
  t.equal(tries, 1, 'not before the pause')
  for (const pauseMs of [1, 2, 4, 8, 16, 30, 30].map(seconds => seconds * 1000)) {
    const before = tries
    nowMs += pauseMs - 1
    await evictor.check()
    t.equal(tries, before)
    nowMs += 1
    await evictor.check()
    t.equal(tries, before + 1, `after ${pauseMs} ms`)
  }
  rooms.index.forget = forget
  await evictor.checkNow()
  t.equal(rooms.store.capacity.excessBytes, 0)
  const said = logger.lines.filter(({ message }) => /eviction/.test(message)).map(({ level }) => level)
  t.same(said, ['error', 'error', 'info'], 'one of each evictor, and that it works again')
  await rooms.close()
})

t.test('an image whose objects are in use all the time is gone over four times, and what is left is said', async t => {
  let rounds = 0
  const store = {
    measure: () => {},
    // Each was used between its choice and the lock.
    evict: async () => ({ objects: rounds++ * 0, bytes: 0 }),
  }
  const kernelRefs = { exist: false }
  const stored = { heldBytes: 7, heldObjects: () => [1], residency: { lastUse: () => 1 }, kernelRefs }
  const evictor = new Evictor({
    store: store as unknown as Store,
    logger: silentLogger,
    pins: { kept: () => new Set() },
    unwanted: () => [],
    now: () => 0,
  })
  const evict = () => evictor.evictImage('a', stored as unknown as StoredImage, { signal, onProgress: () => {} })
  t.same(await evict(), { name: 'a', objects: 0, bytes: 0, leftBytes: 7, leftBy: 'use' })
  t.equal(rounds, evictRoundsMax)
  kernelRefs.exist = true
  t.match(await evict(), { leftBytes: 7, leftBy: 'passthrough' })
  await evictor.close()
})
