import { closeSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../src/base/image.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { IndexDatabase } from '../../src/index/index-database.ts'
import { overheadBytesPerEntry } from '../../src/store/disk/capacity.ts'
import { Store } from '../../src/store/store.ts'
import { damage } from '../fixtures/damage.ts'
import { deferred, nextIteration } from '../fixtures/deferred.ts'
import { FakeDisk } from '../fixtures/fake-disk.ts'
import { MemoryEnvironment } from '../fixtures/memory-environment.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, type Rooms, forever as signal } from '../fixtures/rooms.ts'
import { seeded } from '../fixtures/seeded.ts'

const KiB = 1024
const objectBytes = 256 * KiB // At blocks of 4 KiB.

async function opened(t: Test, sizeBytes = 1000 * KiB, zeros: readonly (readonly [number, number])[] = []) {
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes, 7, zeros)
  const directory = t.testdir()
  const rooms = await openRooms({ directory, origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  return { origin, directory, rooms, image, stored, path: join(directory, 'images', image.id) }
}

async function reopened(rooms: Rooms, directory: string, origin: MemoryOrigin): Promise<Rooms> {
  await rooms.close()
  return openRooms({ directory, origin })
}

t.test('what lands is published at once, and durable after a flush', async t => {
  const { origin, rooms, image, stored } = await opened(t)
  t.equal(await stored.writeBlocks(0, 2, origin.bytes('a', 8 * KiB, 8 * KiB)), 'landed')
  t.equal(stored.residency.resident(0), 0b1100n)
  t.equal(rooms.index.sums(image.id, 0), null, 'not recorded before the sync')
  await rooms.store.flush()
  t.equal(rooms.index.sums(image.id, 0)?.blocks, 0b1100n)
  const target = Buffer.alloc(8 * KiB)
  t.equal(await stored.read(8 * KiB, target), true)
  t.ok(target.equals(origin.bytes('a', 8 * KiB, 8 * KiB)))
  t.equal(await stored.read(4 * KiB, target), false, 'block 1 is not there')
  t.equal(await stored.writeBlocks(0, 2, origin.bytes('a', 8 * KiB, 8 * KiB)), 'held-already')
  await rooms.close()
})

t.test('only the missing blocks of an extent are written', async t => {
  const { origin, rooms, stored } = await opened(t)
  await stored.writeBlocks(0, 1, origin.bytes('a', 4 * KiB, 4 * KiB))
  const used = rooms.store.capacity.usedBytes
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, 12 * KiB))
  t.equal(stored.residency.resident(0), 0b111n)
  t.equal(
    rooms.store.capacity.usedBytes - used,
    2 * 4096 + 2 * overheadBytesPerEntry,
    'two runs of one block, and what comes with them',
  )
  await rooms.close()
})

t.test('an image is sound while every block is held, verified and recorded', async t => {
  const { origin, directory, rooms, image, stored } = await opened(t, 8 * KiB)
  t.notOk(stored.isSound, 'nothing is held')
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, 8 * KiB))
  t.notOk(stored.isSound, 'not recorded before the sync')
  await rooms.store.flush()
  t.ok(stored.isSound)
  const next = await reopened(rooms, directory, origin)
  const again = (await next.store.use(image))!
  t.ok(again.complete)
  t.notOk(again.isSound, 'nobody has looked at the disk')
  await again.verify(0, 0b11n)
  t.ok(again.isSound)
  await next.close()
})

t.test('zero blocks are recorded and take no space, and the tail of an odd image lands whole', async t => {
  const { origin, rooms, stored, path } = await opened(t, 2 * objectBytes + 5, [[0, 2 * objectBytes]])
  const empty = statSync(path).blocks
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, objectBytes))
  t.equal(stored.residency.resident(0), 0xffff_ffff_ffff_ffffn)
  t.equal(stored.zero(0), 0xffff_ffff_ffff_ffffn)
  t.equal(statSync(path).blocks, empty)
  await stored.writeBlocks(2, 0, origin.bytes('a', 2 * objectBytes, 5))
  t.equal(stored.residency.resident(2), 1n)
  t.equal(statSync(path).size, 2 * objectBytes + 5)
  const target = Buffer.alloc(5)
  t.ok(await stored.read(2 * objectBytes, target))
  t.ok(target.equals(origin.bytes('a', 2 * objectBytes, 5)))
  await rooms.close()
})

t.test('a block that was damaged while nobody looked is dropped at its first read and fetched again', async t => {
  const first = await opened(t)
  await first.rooms.cache.read(first.image, 0, first.image.sizeBytes, { signal })
  await first.rooms.close()
  damage(first.path, 5 * 4096 + 100)
  const requests = first.origin.requests.length
  const rooms = await openRooms({ directory: first.directory, origin: first.origin })
  const bytes = await rooms.cache.read(first.image, 0, first.image.sizeBytes, { signal })
  t.ok(first.origin.bytes('a', 0, first.image.sizeBytes).equals(bytes))
  t.same(first.origin.requests.slice(requests), ['read a 20480 4096'])
  t.equal(rooms.store.find(first.image.id)?.corruptBlocks, 1)
  await rooms.close()
})

t.test('a scrub publishes what is right, drops what is damaged, published or not, and is no use of it', async t => {
  const first = await opened(t)
  const { image, origin, path } = first
  await first.rooms.cache.read(image, 0, image.sizeBytes, { signal })
  const rooms = await reopened(first.rooms, first.directory, origin)
  const stored = rooms.store.find(image.id)!
  const [lastUse, used] = [stored.residency.lastUse(0), rooms.store.capacity.usedBytes]
  damage(path, 5 * 4096 + 100)
  t.equal(await stored.scrub(0, 0xffn, true), 0xffn)
  t.equal(stored.residency.resident(0), 0xdfn, 'block 5 was not published')
  const generation = stored.generation(0)
  damage(path, 2 * 4096)
  t.equal(await stored.scrub(0, 0xffn, true), 0xdfn)
  t.equal(stored.residency.resident(0), 0xdbn, 'block 2 was, and is no more')
  t.not(stored.generation(0), generation, 'a reader of its bytes is told')
  t.equal(stored.held(0) & 0xffn, 0xdbn)
  t.equal(rooms.index.sums(image.id, 0)?.blocks, 0xffff_ffff_ffff_ffdbn, 'their checksums are gone too')
  t.equal(stored.corruptBlocks, 2)
  t.equal(stored.residency.lastUse(0), lastUse)
  t.equal(used - rooms.store.capacity.usedBytes, 2 * 4096)
  t.ok(origin.bytes('a', 0, 32 * KiB).equals(await rooms.cache.read(image, 0, 32 * KiB, { signal })))
  await rooms.close()
})

t.test('a scrub passes over what has landed and is not recorded yet', async t => {
  const { origin, rooms, stored } = await opened(t)
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, 8 * KiB))
  t.equal(await stored.scrub(0, 0b11n, true), 0n)
  t.equal(stored.residency.resident(0), 0b11n)
  await rooms.store.flush()
  t.equal(await stored.scrub(0, 0b11n, true), 0b11n)
  t.equal(stored.corruptBlocks, 0)
  await rooms.close()
})

t.test('eviction clears, forgets and punches, and keeps what was used since it was chosen', async t => {
  const { origin, rooms, image, stored, path } = await opened(t)
  for (const object of [0, 1, 2])
    await stored.writeBlocks(object, 0, origin.bytes('a', object * objectBytes, objectBytes))
  await rooms.store.flush()
  const before = statSync(path).blocks
  const candidates = [0, 1, 2].map(object => ({ stored, object, lastUse: stored.residency.lastUse(object) }))
  stored.residency.touch(1, stored.residency.lastUse(1) + 1)
  const generation = stored.generation(0)
  t.same(await rooms.store.evict(candidates), { objects: 2, bytes: 2 * objectBytes })
  t.same(
    [0, 1, 2].map(object => stored.residency.resident(object) !== 0n),
    [false, true, false],
  )
  t.not(stored.generation(0), generation)
  t.equal((before - statSync(path).blocks) * 512, 2 * objectBytes)
  t.equal(rooms.index.sums(image.id, 0), null)
  t.not(rooms.index.sums(image.id, 1), null)
  await rooms.close()
})

t.test('blocks that were evicted before their batch was committed are not recorded', async t => {
  const { origin, rooms, image, stored } = await opened(t)
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, objectBytes))
  await rooms.store.evict([{ stored, object: 0, lastUse: stored.residency.lastUse(0) }])
  await rooms.store.flush()
  t.equal(rooms.index.sums(image.id, 0), null)
  rooms.index.forEachObject(() => t.fail('no record may be left'))
  await rooms.close()
})

t.test(
  'records whose data file is missing or has another size are dropped, and so are files without an image',
  async t => {
    const first = await opened(t)
    await first.rooms.cache.read(first.image, 0, first.image.sizeBytes, { signal })
    let rooms = await reopened(first.rooms, first.directory, first.origin)
    t.equal(rooms.store.find(first.image.id)?.complete, true)
    await rooms.close()
    truncateSync(first.path, 4096)
    rooms = await openRooms({ directory: first.directory, origin: first.origin })
    t.equal(rooms.store.find(first.image.id), null)
    const entry = await rooms.cache.lookup(null, 'a', { signal })
    t.equal(entry.image.id, first.image.id, 'the name is still known')
    t.ok(first.origin.bytes('a', 0, 9000).equals(await rooms.cache.read(entry.image, 0, 9000, { signal })))
    await rooms.close()
    rmSync(first.path)
    rooms = await openRooms({ directory: first.directory, origin: first.origin })
    t.equal(rooms.store.find(first.image.id), null)
    await rooms.close()
  },
)

t.test('orphans are punched at boot, in objects with and without a record', async t => {
  const { origin, rooms, stored, path, directory, image } = await opened(t)
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, 8 * KiB))
  await rooms.close()
  damage(path, 3 * 4096)
  damage(path, 2 * objectBytes + 4096)
  const withOrphans = statSync(path).blocks
  const second = await openRooms({ directory, origin })
  await second.store.reclaimOrphans()
  t.equal((withOrphans - statSync(path).blocks) * 512, 2 * 4096)
  t.ok(origin.bytes('a', 0, 8 * KiB).equals(await second.cache.read(image, 0, 8 * KiB, { signal })))
  t.equal(
    readFileSync(path)
      .subarray(3 * 4096, 4 * 4096)
      .every(byte => byte === 0),
    true,
  )
  await second.close()
})

t.test('what the disk shows beyond our own account counts as used', async t => {
  const { rooms, path } = await opened(t)
  rooms.store.measure()
  const before = rooms.store.capacity.usedBytes
  const fd = openSync(path, 'r+')
  writeSync(fd, Buffer.alloc(400 * KiB, 1), 0, 400 * KiB, 0)
  closeSync(fd)
  rooms.store.measure()
  t.ok(rooms.store.capacity.usedBytes >= before + 400 * KiB)
  await rooms.close()
})

t.test('recency survives a restart, and the clock goes on from it', async t => {
  const { origin, rooms, stored, directory, image } = await opened(t)
  await stored.writeBlocks(1, 0, origin.bytes('a', objectBytes, 4096))
  stored.residency.touch(1, 123_456)
  const second = await reopened(rooms, directory, origin)
  t.equal(second.store.find(image.id)?.residency.lastUse(1), 123_456)
  t.ok(second.clock.tick > 123_456)
  await second.close()
})

/** A store over a disk in memory, which opens files when it is told to, and counts those that are open. */
async function inMemory() {
  const opening = { gate: Promise.resolve(), open: 0, opened: 0 }
  class GatedDisk extends FakeDisk {
    override async open(...args: Parameters<FakeDisk['open']>) {
      opening.opened++
      await opening.gate
      const file = await super.open(...args)
      opening.open++
      const close = file.close.bind(file)
      return Object.assign(file, {
        close: () => {
          opening.open--
          close()
        },
      })
    }
  }
  const removedTrees: string[] = []
  const store = await Store.open({
    directory: new GatedDisk(seeded(1)),
    blockBytes: 4096,
    capacityBytes: 1e9,
    index: new IndexDatabase('in memory', { environment: new MemoryEnvironment(seeded(1)) }),
    logger: silentLogger,
    tick: () => 1,
    now: () => 0,
    trees: { allocatedBytes: 0, remove: async id => void removedTrees.push(id) },
  })
  const imageOf = (key: string) =>
    identify({ origin: 'file:///o', key, sizeBytes: 1000 * KiB, validator: 'v', modifiedMs: 0 })
  return { store, opening, removedTrees, imageOf }
}

t.test(
  'a store that stops opens, evicts and removes nothing more, and closes a file that was opened meanwhile',
  async t => {
    const { store, opening, imageOf } = await inMemory()
    const [first, late] = [imageOf('first'), imageOf('late')]
    const stored = (await store.use(first))!
    await stored.writeBlocks(0, 0, Buffer.alloc(4096, 1))
    await store.flush()
    const gate = deferred()
    opening.gate = gate.promise
    const opened = store.use(late)
    await nextIteration()
    t.equal(await store.removeImage(late.id), false, 'it is being opened')
    const closing = store.close()
    t.equal(await store.use(imageOf('new')), null)
    t.same(await store.evict([{ stored, object: 0, lastUse: null }]), { objects: 0, bytes: 0 })
    await closing
    t.equal(await store.removeImage(first.id), false, 'its records are the next start’s')
    gate.resolve()
    t.equal(await opened, null)
    t.same([opening.open, opening.opened, store.find(late.id)], [0, 2, null])
  },
)

t.test('the tree of an image goes when the image has gone, and not while it stays', async t => {
  const { store, removedTrees, imageOf } = await inMemory()
  const image = imageOf('a')
  const stored = (await store.use(image))!
  await stored.writeBlocks(0, 0, Buffer.alloc(4096, 1))
  await store.flush()
  t.equal(await store.removeImage(image.id), false, 'it holds something')
  t.same(removedTrees, [])
  await store.evict([{ stored, object: 0, lastUse: null }])
  t.equal(await store.removeImage(image.id), true)
  t.same(removedTrees, [image.id])
  await store.close()
})
