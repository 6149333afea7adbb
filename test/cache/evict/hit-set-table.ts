/** Hit sets over real rooms: what is a use, what is promoted, what outlives a restart. */
import t, { type Test } from 'tap'
import type { MountedOrigin } from '../../../src/cache/fetch/origin-table.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, type RoomsOptions, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const MiB = 1024 * KiB
const objectBytes = 256 * KiB // At blocks of 4 KiB.
const hitSet = { type: 'explicit', count: 3, periodMs: 60_000, falsePositives: 0.01 } as const

function world(t: Test, settings: Partial<MountedOrigin>, more: Partial<RoomsOptions> = {}) {
  const memory = new MemoryOrigin()
  memory.put('a', 12 * MiB)
  const directory = t.testdir()
  const clock = { nowMs: 1_000_000_000 }
  const origin = [{ directory: null, origin: memory, hitSet, ...settings }]
  const open = async () => {
    const rooms = await openRooms({ directory, origin, wallMs: () => clock.nowMs, ...more })
    const { image } = await rooms.cache.lookup(null, 'a', { signal })
    const settled = () => until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
    const read = async (object: number, offset = 0) => {
      const bytes = await rooms.cache.read(image, object * objectBytes + offset, 4096, { signal })
      if (!memory.bytes('a', object * objectBytes + offset, 4096).equals(bytes)) throw new Error('other bytes')
      await settled()
      await rooms.store.flush()
      return (rooms.store.find(image.id)?.held(object) ?? 0n) !== 0n
    }
    const byPeriods = async () =>
      (await rooms.cache.operations.temperatures()).images[0]!.bytesByPeriods.map(bytes => bytes / objectBytes)
    return { rooms, image, read, byPeriods }
  }
  return { clock, open, memory }
}

t.test(
  'recency 0 promotes what is read; 1 what was read before in this period; 2 in this or the one before',
  async t => {
    for (const minReadRecency of [0, 1, 2]) {
      const { clock, open } = world(t, { minReadRecency })
      const { rooms, read } = await open()
      rooms.cache.startBackground()
      t.equal(await read(1), minReadRecency === 0, 'the first read')
      clock.nowMs += 500
      t.equal(await read(1, 4096), minReadRecency === 0, 'another piece of it, within the same second')
      clock.nowMs += 1000
      t.equal(await read(1, 8192), true, 'the second read')
      await read(2)
      clock.nowMs += 60_000
      await until(() => rooms.cache.operations.hitSetsOf(null)?.sets === 2, patienceMs, 'the next period')
      t.equal(await read(2, 8192), minReadRecency !== 1, 'it was read in the period before')
      t.equal(rooms.cache.counters.promotion.droppedBy.recency > 0, minReadRecency > 0)
      await rooms.close()
    }
  },
)

t.test('the end of a period saves them, not the end of the process alone', async t => {
  const { clock, open, memory } = world(t, {})
  const { rooms, read } = await open()
  rooms.cache.startBackground()
  await read(1)
  t.same(rooms.index.hitSets(memory.url), [])
  clock.nowMs += 60_000
  await until(() => rooms.index.hitSets(memory.url).length === 2, patienceMs, 'both periods in the index')
  await rooms.close()
})

t.test('what an operator wants comes, whatever was read', async t => {
  const { open } = world(t, { minReadRecency: 1 })
  const { rooms } = await open()
  const ranges = [{ from: 0, to: objectBytes }]
  const preloaded = await rooms.cache.operations.promote('a', ranges, { signal, onProgress: () => {} })
  t.match(preloaded, { promotedBytes: objectBytes })
  await rooms.close()
})

t.test('without hit sets everything is promoted', async t => {
  const { open } = world(t, { minReadRecency: 3, hitSet: { ...hitSet, type: 'none' } })
  const { rooms, read, byPeriods } = await open()
  t.ok(await read(1))
  t.same(await byPeriods(), [48])
  await rooms.close()
})

for (const type of ['bloom', 'explicit'] as const) {
  t.test(
    `${type}: native hits are uses, by their ticks; temperatures count periods, and outlive a restart`,
    async t => {
      const { clock, open } = world(t, { hitSet: { ...hitSet, type } })
      const first = await open()
      first.rooms.cache.startBackground()
      for (const object of [1, 2, 3]) await first.read(object)
      t.same(await first.byPeriods(), [45, 3])
      clock.nowMs += 60_000
      await until(() => first.rooms.cache.operations.hitSetsOf(null)?.sets === 2, patienceMs, 'the next period')
      first.rooms.clock.advance()
      // As session threads do.
      first.rooms.store.find(first.image.id)!.residency.touch(2, first.rooms.clock.tick)
      t.same(await first.byPeriods(), [45, 2, 1])
      first.rooms.clock.advance()
      first.rooms.store.find(first.image.id)!.residency.touch(3, first.rooms.clock.tick)
      await first.rooms.close()
      const second = await open()
      t.same(await second.byPeriods(), [45, 1, 2], 'also the use that came last')
      t.match((await second.rooms.cache.operations.temperatures()).origins, [
        { name: null, type, sets: 2, count: 3, overflow: 0 },
      ])
      await second.rooms.close()
    },
  )
}

t.test('what is fetched ahead is no use, until it is read', async t => {
  const { open } = world(t, {}, { readAheadBytesMax: 4 * MiB, capacityBytes: 256 * MiB })
  const { rooms, image, byPeriods } = await open()
  const used = async () => {
    const [cold = 0] = await byPeriods()
    return 48 - cold
  }
  for (let offset = 0; offset < 2 * MiB; offset += 64 * KiB) await rooms.cache.read(image, offset, 64 * KiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  await rooms.store.flush()
  const stored = rooms.store.find(image.id)!
  t.ok(stored.objects > 8, `${stored.objects} objects are held`)
  t.equal(await used(), 8)
  await rooms.close()
})
