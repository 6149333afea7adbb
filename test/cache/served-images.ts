/** Images as other hosts get them: blocks that session threads are fetching are on their way. */
import t from 'tap'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../fixtures/rooms.ts'

t.test('a former owner says that a unit is coming while session threads fetch it', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 1_000_000)
  const { cache, close } = await openRooms({ directory: t.testdir(), origin })
  const { image } = await cache.lookup(null, 'a', { signal })
  const file = (await cache.open(image))!
  const { blockBytes } = cache.served
  t.notOk(cache.served.isComing(image, 0, blockBytes))
  // Blocks 0 and 1 of each object.
  Object.defineProperty(file, 'comingBlocks', { value: () => 0b11n })
  t.ok(cache.served.isComing(image, 0, 2 * blockBytes))
  t.notOk(cache.served.isComing(image, blockBytes, 2 * blockBytes), 'a part of it is not')
  await cache.read(image, 2 * blockBytes, 1, { signal })
  t.ok(cache.served.isComing(image, blockBytes, 2 * blockBytes), 'the rest is here')
  await close()
})
