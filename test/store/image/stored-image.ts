/** One image in the store: what it holds, what readers may have of it, and how it is given up. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { allBlocks } from '../../../src/base/image.ts'
import { overheadBytesPerEntry } from '../../../src/store/disk/capacity.ts'
import { damage } from '../../fixtures/damage.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes
const sizeBytes = 2 * objectBytes + 2 * blockBytes + 100

/** An image of three objects, the last one short; its second one is all zeros. */
async function opened(t: Test) {
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes, 7, [[objectBytes, 2 * objectBytes]])
  const directory = t.testdir()
  const rooms = await openRooms({ directory, origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  const write = (object: number, first: number, bytes: number) =>
    stored.writeBlocks(object, first, origin.bytes('a', object * objectBytes + first * blockBytes, bytes))
  const reopen = async () => {
    await rooms.close()
    const next = await openRooms({ directory, origin })
    return { rooms: next, stored: next.store.find(image.id)! }
  }
  return { origin, rooms, image, stored, write, reopen, path: join(directory, 'images', image.id) }
}

t.test('it is complete with its last block, and sound once all is verified, published and recorded', async t => {
  const { rooms, stored, write, reopen } = await opened(t)
  await write(0, 0, objectBytes)
  await write(1, 0, objectBytes)
  await write(2, 0, 2 * blockBytes)
  t.notOk(stored.complete)
  await write(2, 2, 100)
  t.same([stored.complete, stored.heldBytes, stored.zeroBytes], [true, sizeBytes, objectBytes])
  t.same(
    [0, 1, 2].map(object => stored.allocatedBytes(object)),
    [objectBytes, 0, 3 * blockBytes],
  )
  t.notOk(stored.isSound, 'its records are not durable yet')
  await rooms.store.flush()
  t.ok(stored.isSound)
  const next = await reopen()
  t.same([next.stored.complete, next.stored.isSound], [true, false], 'nothing is verified after a start')
  // See claim-table.ts.
  const unverified = () => [...new BigUint64Array(next.stored.file.claims)].filter((_, k) => k % 2 === 1)
  t.same(unverified(), [allBlocks, allBlocks, 0b111n], 'session threads leave them to us')
  await Promise.all([0, 1, 2].map(object => next.stored.verify(object, allBlocks)))
  t.ok(next.stored.isSound)
  t.same(unverified(), [0n, 0n, 0n])
  await next.rooms.close()
})

t.test('a block of which two writers come at once is written once', async t => {
  const { rooms, stored, write } = await opened(t)
  const used = rooms.store.capacity.usedBytes
  const outcomes = await Promise.all([write(0, 0, blockBytes), write(0, 0, 2 * blockBytes)])
  t.same(outcomes, ['landed', 'landed'], 'the second one had a block of its own')
  t.equal(await write(0, 1, blockBytes), 'held-already')
  t.equal(stored.heldBytes, 2 * blockBytes)
  t.equal(rooms.store.capacity.usedBytes - used, 2 * (blockBytes + overheadBytesPerEntry))
  await rooms.close()
})

t.test('a read of what is not there, or went meanwhile, is false', async t => {
  const { origin, rooms, stored, write } = await opened(t)
  await write(0, 0, 2 * blockBytes)
  const target = Buffer.alloc(2 * blockBytes)
  t.ok(await stored.read(0, target))
  t.ok(origin.bytes('a', 0, 2 * blockBytes).equals(target))
  t.notOk(await stored.read(blockBytes, target), 'the second one is not there')
  stored.residency.revoke(0, 0b10n)
  t.notOk(await stored.read(0, target))
  t.ok(await stored.read(0, target.subarray(0, blockBytes)))
  await rooms.close()
})

t.test('blocks that did not become durable are given up, and their place is free', async t => {
  const { rooms, image, stored, write, path } = await opened(t)
  await write(0, 0, 4 * blockBytes)
  await rooms.store.flush()
  const [before, used] = [statSync(path).blocks, rooms.store.capacity.usedBytes]
  await stored.abandon(0, 0b0110n)
  t.same([stored.held(0), stored.residency.resident(0)], [0b1001n, 0b1001n])
  t.equal(rooms.index.sums(image.id, 0)?.blocks, 0b1001n)
  t.equal((before - statSync(path).blocks) * 512, 2 * blockBytes)
  t.equal(used - rooms.store.capacity.usedBytes, 2 * blockBytes)
  t.equal(await write(0, 0, 4 * blockBytes), 'landed')
  await rooms.close()
})

t.test('of a file that the kernel reads nothing is punched: damaged blocks stay, and are written in place', async t => {
  const { rooms, stored, write, path } = await opened(t)
  await write(0, 0, 4 * blockBytes)
  await rooms.store.flush()
  t.ok(stored.kernelRefs.begin())
  damage(path, blockBytes)
  const before = statSync(path).blocks
  await stored.scrub(0, 0b1111n, true)
  t.same([stored.held(0), stored.damaged(0), stored.residency.resident(0)], [0b1111n, 0b10n, 0b1101n])
  t.same([...stored.damagedObjects()], [0])
  damage(path, 20 * blockBytes) // What a write left that never ended.
  await stored.punchOrphans(0)
  t.equal((statSync(path).blocks - before) * 512, blockBytes)
  t.equal(await write(0, 0, 4 * blockBytes), 'landed')
  t.same([stored.damaged(0), stored.residency.resident(0)], [0n, 0b1111n])
  stored.kernelRefs.end()
  await stored.punchOrphans(0)
  t.equal(statSync(path).blocks, before, 'now it may go')
  await rooms.close()
})

t.test('an eviction takes an object from readers first, and from the disk when its records are gone', async t => {
  const { rooms, stored, write, path } = await opened(t)
  await write(0, 0, objectBytes)
  await rooms.store.flush()
  const [generation, before] = [stored.generation(0), statSync(path).blocks]
  t.equal(stored.beginEviction(0), allBlocks)
  t.same([stored.residency.resident(0), stored.held(0)], [0n, allBlocks])
  t.not(stored.generation(0), generation)
  t.equal(statSync(path).blocks, before, 'the bytes are still there')
  t.equal(await stored.finishEviction(0), objectBytes)
  t.same([stored.held(0), stored.heldBytes], [0n, 0])
  t.equal((before - statSync(path).blocks) * 512, objectBytes)
  await rooms.close()
})

t.test('an object that is evicted takes its damaged blocks along', async t => {
  const { rooms, stored, write, path } = await opened(t)
  await write(0, 0, 4 * blockBytes)
  await rooms.store.flush()
  t.ok(stored.kernelRefs.begin())
  damage(path, blockBytes)
  await stored.scrub(0, 0b1111n, true)
  stored.kernelRefs.end()
  t.equal(stored.damaged(0), 0b10n)
  stored.beginEviction(0)
  await stored.finishEviction(0)
  t.equal(stored.damaged(0), 0n, 'nothing is left to be written over')
  await rooms.close()
})

t.test('what is revoked before its batch ends gets no record', async t => {
  const { rooms, image, stored, write } = await opened(t)
  await write(0, 0, 4 * blockBytes)
  await stored.abandon(0, 0b0110n)
  await rooms.store.flush()
  t.equal(rooms.index.sums(image.id, 0)?.blocks, 0b1001n)
  await rooms.close()
})

t.test('a sync that fails is counted, and told', async t => {
  const { rooms, stored, write } = await opened(t)
  await write(0, 0, blockBytes)
  const sync = () => Promise.reject(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }))
  Object.defineProperty(stored.file, 'sync', { value: sync })
  await t.rejects(stored.sync(), { code: 'EIO' })
  t.equal(stored.failedSyncs, 1)
  await rooms.close()
})

t.test(
  'an image that is removed takes nothing, gives nothing, and there is no object that it does not have',
  async t => {
    const { rooms, stored, write } = await opened(t)
    await write(0, 0, blockBytes)
    await rooms.store.flush()
    t.throws(() => stored.verify(3, 1n), { code: 'invalid-argument' })
    t.throws(() => stored.verify(-1, 1n), { code: 'invalid-argument' })
    t.ok(stored.usageGate.closeIfIdle())
    t.equal(await write(0, 1, blockBytes), 'failed')
    t.notOk(await stored.read(0, Buffer.alloc(10)))
    t.equal(await stored.scrub(0, 1n, true), 0n)
    stored.usageGate.reopen()
    t.equal(await write(0, 1, blockBytes), 'landed')
    await rooms.close()
  },
)

t.test('last uses of what is held can be saved, and those of what is not held are not', async t => {
  const { rooms, stored, write } = await opened(t)
  await write(2, 0, blockBytes)
  rooms.clock.advance()
  stored.touch(2)
  stored.touch(1)
  t.same([...stored.recency()], [2, rooms.clock.tick])
  await rooms.close()
})
