/** The gate of promotions over real rooms: no rule of it reaches a reader. */
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { PromotionGate } from '../../../src/cache/evict/promotion-gate.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, type RoomsOptions, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const MiB = 1024 * KiB
const objectBytes = 256 * KiB // At blocks of 4 KiB.

async function world(t: Test, more: Partial<RoomsOptions>) {
  const origin = new MemoryOrigin()
  origin.put('a', 64 * MiB)
  const rooms = await openRooms({ directory: more.directory ?? t.testdir(), origin, ...more })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const read = async (object: number) => {
    rooms.clock.advance()
    const bytes = await rooms.cache.read(image, object * objectBytes, objectBytes, { signal })
    if (!origin.bytes('a', object * objectBytes, objectBytes).equals(bytes)) throw new Error('other bytes')
    await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
    await rooms.store.flush()
  }
  const held = () => [...rooms.store.find(image.id)!.heldObjects()].sort((a, b) => a - b)
  const dropped = () => rooms.cache.counters.promotion.droppedBy
  return { rooms, read, held, dropped }
}

const upTo = (count: number, first = 0) => Array.from({ length: count }, (_, k) => first + k)

t.test('no more objects than maxObjects, however many are read; the least recently used go', async t => {
  const { rooms, read, held } = await world(t, { eviction: { objectsMax: 20, evictionPolicy: 'lru' } })
  for (const object of upTo(60)) {
    await read(object)
    t.ok(rooms.store.objects <= 20, `${rooms.store.objects} after ${object}`)
    // While an eviction is under way the next one would find no room.
    await rooms.cache.makeRoom()
  }
  t.same(held(), upTo(held().length, 60 - held().length))
  t.ok(held().length >= 18)
  t.ok(rooms.cache.counters.eviction.objects > 30)
  await rooms.close()
})

t.test(
  'at maxObjects with nothing to evict, an object more is read by proxy, and blocks of those held come',
  async t => {
    const eviction = { objectsMax: 4, evictAgeMsMin: 3_600_000 }
    const { rooms, read, held, dropped } = await world(t, { eviction })
    const { image } = await rooms.cache.lookup(null, 'a', { signal })
    for (const object of upTo(3)) await read(object)
    await rooms.cache.read(image, 3 * objectBytes, 4096, { signal })
    await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
    await read(4)
    t.same(held(), upTo(4))
    t.ok(dropped()['max-objects'] + dropped()['too-young'] > 0)
    await rooms.close()
  },
)

t.test(
  'an object more than maxObjects is refused for that reason; blocks of those held, and repairs, are not',
  async t => {
    const { rooms, read } = await world(t, {})
    await read(0)
    const { store, index } = rooms
    const stored = [...store.images()][0]!
    const parts = { store, index, logger: silentLogger, wallMs: Date.now, origins: () => [], isHeldByAge: () => false }
    const gate = new PromotionGate({ ...parts, objectsMax: 1 })
    t.equal(gate.enter(stored, 1, 4096, false), 'max-objects')
    t.equal(gate.enter(stored, 0, 4096, false), null)
    gate.reconfigure({ objectsMax: 2 })
    t.equal(gate.enter(stored, 1, 4096, false), null)
    gate.reconfigure({})
    t.equal(gate.enter(stored, 1, 4096, false), null, 'without a limit')
    await gate.close()
    await rooms.close()
  },
)

t.test(
  'what is younger than minEvictAge stays; promotion stops, reads go on, and when it is older they are kept again',
  async t => {
    const eviction = { evictAgeMsMin: 100_000, evictionPolicy: 'lru' } as const
    let nowMs = 0
    const { rooms, read, held, dropped } = await world(t, { eviction, capacityBytes: 12 * MiB, now: () => nowMs })
    for (const object of upTo(60)) await read(object)
    await rooms.cache.makeRoom()
    const before = held()
    t.same(before, upTo(before.length), 'the first ones stay')
    t.equal(rooms.cache.counters.eviction.objects, 0)
    t.ok(dropped()['too-young'] > 0)
    const count = dropped()['too-young']
    await read(70)
    t.equal(dropped()['too-young'], count + 1, 'one extent, counted')
    // A thousand ticks of a tenth of a second.
    for (let k = 0; k < 1000; k++) rooms.clock.advance()
    nowMs += 10_000
    await read(71)
    await until(() => rooms.cache.counters.eviction.objects > 0, patienceMs, 'an eviction')
    await rooms.cache.makeRoom()
    await read(72)
    t.ok(held().includes(72))
    t.notOk(held().includes(0))
    await rooms.close()
  },
)

t.test('over the write budget nothing is promoted, reads go on, and a restart does not renew it', async t => {
  const directory = t.testdir()
  let wallMs = 1_000_000_000
  const budget = { directory, wallMs: () => wallMs, writeBudget: { bytesPerDay: 24 * MiB, burstBytes: 2 * MiB } }
  const first = await world(t, budget)
  for (const object of upTo(12)) await first.read(object)
  t.same(first.held(), upTo(8), 'eight times 256 KiB are the burst')
  t.equal(first.dropped()['write-budget'], 4)
  t.match(first.rooms.cache.counters.written, { bytes: 2 * MiB, totalBytes: 2 * MiB, leftBytes: 0 })
  await first.rooms.close()
  const second = await world(t, budget)
  await second.read(12)
  t.same(second.held(), upTo(8))
  wallMs += 3_600_000
  for (const object of upTo(8, 13)) await second.read(object)
  t.same(second.held(), [...upTo(8), 13, 14, 15, 16], 'an hour brings 1 MiB')
  t.match(second.rooms.cache.counters.written, { bytes: MiB, totalBytes: 3 * MiB })
  await second.rooms.close()
})

t.test('zeros are not written, and cost nothing', async t => {
  const origin = new MemoryOrigin()
  origin.put('zeros', 8 * MiB, 1, [[0, 8 * MiB]])
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'zeros', { signal })
  await rooms.cache.read(image, 0, MiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  t.ok(rooms.store.find(image.id)!.heldBytes >= MiB)
  t.equal(rooms.cache.counters.written.bytes, 0)
  await rooms.close()
})
