/** Objects that only other hosts read: at most a share, first to go, and never those on their way. */
import t, { type Test } from 'tap'
import { ForeignObjects } from '../../../src/cache/evict/foreign-objects.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const objectBytes = 64 * 4096

async function serving(t: Test, foreignShareMax: number) {
  const origin = new MemoryOrigin()
  origin.put('a', 100 * objectBytes)
  const rooms = await openRooms({ directory: t.testdir(), origin, foreignShareMax, capacityBytes: 32 * 2 ** 20 })
  const image = (await rooms.cache.lookup(null, 'a', { signal })).image
  const forOthers = (object: number) => rooms.cache.served.read(image, object * objectBytes, objectBytes, { signal })
  const here = (object: number) => rooms.cache.read(image, object * objectBytes, 4096, { signal })
  const stored = () => rooms.store.find(image.id)!
  const held = () => [...stored().heldObjects()].sort((a, b) => a - b)
  const landed = (object: number) => until(() => stored().held(object) !== 0n, patienceMs, 'the promotion')
  return { origin, rooms, image, forOthers, here, stored, held, landed }
}

t.test('what only other hosts read stays within its share, and what is read here stays', async t => {
  const { rooms, forOthers, here, held, landed } = await serving(t, 0.25)
  for (const object of [90, 91]) {
    await here(object)
    await landed(object)
  }
  for (let object = 0; object < 60; object++) {
    rooms.clock.advance()
    await forOthers(object)
    await landed(object)
    if (object === 3) {
      rooms.clock.advance()
      await here(3) // From now on it is this host's.
    }
  }
  // 8 MiB of 32 are 32 objects; bytes are added up once a second.
  await until(
    async () => {
      await rooms.cache.makeRoom()
      return held().length <= 32 + 3
    },
    patienceMs,
    'the eviction',
  )
  const left = held()
  t.ok(
    [3, 90, 91].every(object => left.includes(object)),
    left.join(),
  )
  t.ok(left.includes(59), 'the last one')
  t.notOk(left.includes(0), 'the first one')
  await rooms.close()
})

t.test('an object with a read or a fetch under way is not chosen', async t => {
  const { rooms, origin, image } = await serving(t, 0.25)
  const stored = (await rooms.store.use(image))!
  const foreign = new ForeignObjects(0.25, () => 0)
  const chosen = () => foreign.candidates(rooms.store, new Set(), true).map(({ object }) => object)
  for (const object of [0, 1, 2]) {
    foreign.touch(stored, object, 10)
    await stored.writeBlocks(object, 0, origin.bytes('a', object * objectBytes, 4096))
  }
  t.same(chosen(), [0, 1, 2])
  t.same(foreign.candidates(rooms.store, new Set([image.id]), true), [], 'of an image that is kept')
  stored.claims.claim(1, 2n)
  t.same(chosen(), [0, 2])
  let end = () => {}
  const reading = foreign.reading(stored, [0], () => new Promise<void>(resolve => void (end = resolve)))
  t.same(chosen(), [2])
  end()
  await reading
  stored.claims.release(1, 2n)
  t.same(chosen(), [0, 1, 2])
  stored.touch(2)
  t.same(chosen(), [0, 1], 'used here since')
  t.same(chosen(), [0, 1], 'and from then on')
  foreign.touch(stored, 2, 20)
  t.same(chosen(), [0, 1], 'another host reads what is held for this one')
  stored.touch(0)
  foreign.touch(stored, 0, 30)
  t.same(chosen(), [1], 'used here since, and read for another host again')
  await rooms.close()
})

t.test('without a share nothing is brought for others', async t => {
  const { rooms } = await serving(t, 0)
  t.notOk(rooms.cache.served.mayBring)
  await rooms.close()
})
