/** Pins: what is never evicted, how much may be, and for how long. */
import t from 'tap'
import { pinnedShareMax, pinsMax } from '../../../src/cache/evict/limits.ts'
import { Pins, type PinsContext } from '../../../src/cache/evict/pins.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, type Rooms, forever as signal } from '../../fixtures/rooms.ts'
import { scriptedImage } from '../../fixtures/scripted-origin.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const MiB = 1024 * KiB
const onProgress = () => {}

/** Read all of an image, and wait for the promotions. */
async function readAll({ cache }: Rooms, name: string): Promise<void> {
  const { image } = await cache.lookup(null, name, { signal })
  for (let at = 0; at < image.sizeBytes; at += MiB) {
    await cache.read(image, at, Math.min(MiB, image.sizeBytes - at), { signal })
  }
  await until(() => cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  await cache.makeRoom()
}

t.test('what is pinned stays while everything else is turned over, before and after a restart', async t => {
  const origin = new MemoryOrigin()
  origin.put('kept', 5 * MiB)
  for (const name of ['b', 'c', 'd']) origin.put(name, 7 * MiB, name.charCodeAt(0))
  const directory = t.testdir()
  let rooms = await openRooms({ directory, origin, capacityBytes: 16 * MiB })
  await readAll(rooms, 'kept')
  await rooms.cache.operations.pin('kept')
  for (let start = 0; start < 2; start++) {
    // While commits are under way what they may take counts as used: not every round of so small a cache evicts.
    for (let round = 0; round < 10 && rooms.cache.counters.eviction.bytes < 7 * MiB; round++) {
      for (const name of ['b', 'c', 'd']) await readAll(rooms, name)
    }
    t.ok(rooms.cache.counters.eviction.bytes >= 7 * MiB, 'an image and more was evicted')
    const images = new Map(rooms.cache.images().map(image => [image.name, image]))
    t.match(images.get('kept'), { complete: true, pinned: true })
    t.match(images.get('d'), { pinned: false })
    t.ok(rooms.store.capacity.usedBytes <= 16 * MiB)
    await rooms.close()
    rooms = await openRooms({ directory, origin, capacityBytes: 16 * MiB })
  }
  await rooms.cache.operations.unpin('kept')
  for (let round = 0; round < 10 && rooms.cache.counters.eviction.objects === 0; round++) {
    for (const name of ['b', 'c', 'd']) await readAll(rooms, name)
  }
  t.equal(rooms.cache.images().find(({ name }) => name === 'kept')?.complete, false, 'it was the coldest')
  await rooms.close()
})

t.test('pinning while an eviction runs keeps what is left, and nothing else is lost', async t => {
  const origin = new MemoryOrigin()
  for (const name of ['a', 'b']) origin.put(name, 7 * MiB, name.charCodeAt(0))
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 32 * MiB })
  await readAll(rooms, 'a')
  rooms.clock.advance()
  await readAll(rooms, 'b')
  rooms.store.capacity.resize(16 * MiB)
  const room = rooms.cache.makeRoom()
  await rooms.cache.operations.pin('a')
  await room
  rooms.store.capacity.resize(14 * MiB)
  const before = rooms.cache.images().find(({ name }) => name === 'a')!.residentBytes
  rooms.store.capacity.resize(12 * MiB)
  await rooms.cache.makeRoom()
  t.ok(rooms.cache.images().find(({ name }) => name === 'a')!.residentBytes <= before)
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  t.ok(origin.bytes('a', 0, 7 * MiB).equals(await rooms.cache.read(image, 0, 7 * MiB, { signal })))
  await rooms.close()
})

t.test('half of the capacity can be pinned, and not a byte more; zeros do not count', async t => {
  const origin = new MemoryOrigin()
  const capacityBytes = 16 * MiB
  const half = capacityBytes * pinnedShareMax
  origin.put('half', half)
  origin.put('over', half + 1)
  origin.put('byte', 1)
  origin.put('sparse', half + 4 * MiB, 1, [[0, 4 * MiB]])
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes })
  const { operations } = rooms.cache
  await t.rejects(operations.pin('over'), { code: 'invalid-argument', message: /8 MiB.*0 B of 8 MiB.*unpin another/ })
  await t.rejects(operations.pin('sparse'), { code: 'invalid-argument' })
  const ranges = [{ from: 0, to: 4 * MiB }]
  await operations.promote('sparse', ranges, { signal, onProgress })
  await operations.pin('sparse')
  await operations.unpin('sparse')
  await operations.pin('half')
  await operations.pin('half')
  t.match(rooms.cache.pinned, { maxBytes: half, allowedBytes: half })
  await t.rejects(operations.pin('byte'), { code: 'invalid-argument' })
  await operations.unpin('half')
  await t.rejects(operations.unpin('half'), { code: 'not-found' })
  await operations.pin('byte')
  await t.rejects(operations.pin('missing'), { code: 'not-found' })
  await rooms.close()
})

t.test('when the capacity shrinks, the oldest pins are kept as far as half of it goes', async t => {
  const origin = new MemoryOrigin()
  for (const name of ['first', 'second']) origin.put(name, 5 * MiB, name.length)
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 32 * MiB })
  for (const name of ['first', 'second']) {
    await readAll(rooms, name)
    await rooms.cache.operations.pin(name)
  }
  rooms.store.capacity.resize(11 * MiB)
  await rooms.cache.makeRoom()
  const images = new Map(rooms.cache.images().map(image => [image.name, image]))
  t.match(images.get('first'), { complete: true, pinned: true })
  t.match(images.get('second'), { complete: false, pinned: true })
  t.ok(rooms.store.capacity.usedBytes <= 11 * MiB)
  await rooms.close()
})

t.test('after a restart the oldest pins come first, in the order of their times and not of their names', async t => {
  const origin = new MemoryOrigin()
  const names = ['a', 'b', 'c']
  const index = { pins: () => names.map((name, k) => ({ name, pinnedMs: [5, 1, 3][k]! })) }
  const store = { find: (id: string) => ({ id }) }
  const imageOf = (_: unknown, name: string) => ({ id: name })
  const parts = { index, store, imageOf, origins: [origin], wallMs: () => 0 } as unknown as PinsContext
  for (const pins of [new Pins(parts), new Pins({ ...parts, origins: [] })]) {
    if (pins.kept(() => 1, 3).size === 0) pins.adopt(origin)
    t.same([...pins.kept(() => 1, 3)], ['b', 'c', 'a'])
    t.same([...pins.kept(() => 1, 1)], ['b'])
  }
})

t.test('a pin follows its name to a new version', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 2 * MiB, 1)
  const now = { ms: 0 }
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 32 * MiB, now: () => now.ms })
  await rooms.cache.operations.pin('a')
  const before = (await rooms.cache.lookup(null, 'a', { signal })).image
  await readAll(rooms, 'a')
  origin.put('a', 2 * MiB, 2)
  now.ms += 61_000
  const after = (await rooms.cache.lookup(null, 'a', { signal })).image
  t.not(after.id, before.id)
  await readAll(rooms, 'a')
  t.match(rooms.cache.images(), [{ name: 'a', pinned: true, complete: true }])
  t.equal(rooms.cache.pinned.heldBytes, 2 * MiB, 'the old version is not kept')
  await rooms.close()
})

t.test('one name more than may be pinned is refused, and there is room after an unpin', async t => {
  const origin = new MemoryOrigin()
  const pinned = Array.from({ length: pinsMax - 1 }, (_, k) => ({ name: `${k}`, pinnedMs: k }))
  const index = { pins: () => pinned, putPin: async () => {}, removePin: async () => {} }
  const store = { find: () => null, capacity: { capacityBytes: 1024 * MiB } }
  const image = scriptedImage('one', 1)
  const parts = { index, store, origins: [origin], imageOf: () => image, wallMs: () => 0 }
  const pins = new Pins(parts as unknown as PinsContext)
  await pins.pin(origin, 'last', image)
  await t.rejects(pins.pin(origin, 'over', image), { code: 'invalid-argument', message: /4096 images are: unpin/ })
  t.notOk(pins.has(origin, 'over'))
  await pins.pin(origin, 'last', image)
  await pins.unpin(origin, '0')
  await pins.pin(origin, 'over', image)
  t.ok(pins.has(origin, 'over'))
})
