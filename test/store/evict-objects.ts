/** The eviction of a batch: taken from readers, forgotten durably, then punched. */
import t, { type Test } from 'tap'
import { CacheError } from '../../src/base/errors.ts'
import { evictLocked } from '../../src/store/evict-objects.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../fixtures/rooms.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes

/** An image of which four objects are held and recorded. */
async function holding(t: Test) {
  const origin = new MemoryOrigin()
  origin.put('a', 4 * objectBytes)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  for (let object = 0; object < 4; object++) {
    await stored.writeBlocks(object, 0, origin.bytes('a', object * objectBytes, objectBytes))
    stored.touch(object)
  }
  await rooms.store.flush()
  const { index, store } = rooms
  const candidate = (object: number) => ({ stored, object, lastUse: stored.residency.lastUse(object) })
  const evict = (objects: readonly number[]) => evictLocked(objects.map(candidate), { index, health: store.health })
  const recorded = () => [0, 1, 2, 3].filter(object => index.sums(image.id, object) !== null)
  const held = () => [...stored.heldObjects()]
  return { rooms, stored, candidate, evict, recorded, held, close: () => rooms.close() }
}

t.test('objects go with their records, and their bytes are counted', async t => {
  const { evict, recorded, held, close } = await holding(t)
  t.same(await evict([1, 3]), { objects: 2, bytes: 2 * objectBytes })
  t.same(
    [recorded(), held()],
    [
      [0, 2],
      [0, 2],
    ],
  )
  t.same(await evict([1]), { objects: 0, bytes: 0 }, 'nothing is held of it any more')
  await close()
})

t.test('an object that was used since it was chosen stays, unless it is to go all the same', async t => {
  const { rooms, stored, candidate, held, close } = await holding(t)
  const { index, store } = rooms
  const chosen = [0, 1].map(candidate)
  rooms.clock.advance()
  stored.touch(1)
  const parts = { index, health: store.health }
  t.match(await evictLocked(chosen, parts), { objects: 1 })
  t.same(held(), [1, 2, 3])
  t.match(await evictLocked([{ stored, object: 1, lastUse: null }], parts), { objects: 1 })
  t.same(held(), [2, 3])
  await close()
})

t.test('what the kernel reads by itself stays', async t => {
  const { stored, evict, recorded, close } = await holding(t)
  stored.kernelRefs.begin()
  t.same(await evict([0, 1, 2, 3]), { objects: 0, bytes: 0 })
  t.same(recorded(), [0, 1, 2, 3])
  stored.kernelRefs.end()
  await close()
})

t.test('without the index nothing is punched: a record must not outlive its bytes', async t => {
  const { rooms, stored, evict, held, close } = await holding(t)
  const { forget } = rooms.index
  rooms.index.forget = () => Promise.reject(new CacheError('index-failed', 'no'))
  await t.rejects(evict([0]), { code: 'index-failed' })
  t.same(held(), [0, 1, 2, 3])
  t.equal(stored.residency.resident(0), 0n, 'readers lost it all the same, and verify it at the next read')
  rooms.index.forget = forget
  t.match(await evict([0]), { objects: 1 })
  await close()
})

t.test('a punch that fails is told to the disk’s health, once the others have ended', async t => {
  const { rooms, stored, evict, held, close } = await holding(t)
  const { punch } = stored.file
  const told: unknown[] = []
  rooms.store.health.writeFailed = error => void told.push(error)
  const failure = new Error('EIO: i/o error, fallocate')
  const value = (offset: number, length: number) =>
    offset === 0 ? Promise.reject(failure) : punch.call(stored.file, offset, length)
  Object.defineProperty(stored.file, 'punch', { value })
  await t.rejects(evict([0, 1]), failure)
  t.same(told, [failure])
  t.same(held(), [0, 2, 3])
  await close()
})
