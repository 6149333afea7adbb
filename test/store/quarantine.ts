/** A whole image given up, because its bytes must not be served again. */
import t, { type Test } from 'tap'
import { allBlocks } from '../../src/base/image.ts'
import { quarantine } from '../../src/store/quarantine.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../fixtures/rooms.ts'

const objectBytes = 64 * 4096

async function holding(t: Test) {
  const origin = new MemoryOrigin()
  origin.put('a', 3 * objectBytes)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  const write = (object: number) => stored.writeBlocks(object, 0, origin.bytes('a', object * objectBytes, objectBytes))
  for (const object of [0, 2]) await write(object)
  await rooms.store.flush()
  return { rooms, image, stored, write }
}

t.test('no reader is served any of it, its records and bytes go, and it can be filled again', async t => {
  const { rooms, image, stored, write } = await holding(t)
  await quarantine(stored)
  t.equal(stored.heldBytes, 0)
  t.same(
    [0, 2].map(object => [stored.residency.resident(object), rooms.index.sums(image.id, object)]),
    [
      [0n, null],
      [0n, null],
    ],
  )
  t.equal(await write(0), 'landed')
  t.equal(stored.residency.resident(0), allBlocks, 'what comes now is published')
  await rooms.close()
})

t.test('session threads fetch no more of it, and what was fetched ahead goes, whoever has the file', async t => {
  for (const isRead of [false, true]) {
    const { rooms, stored } = await holding(t)
    const asked: unknown[] = []
    Object.defineProperty(stored.file, 'setFetchOrigin', { value: (origin: unknown) => void asked.push(origin) })
    Object.defineProperty(stored.file, 'removeBuffered', { value: () => void asked.push('removeBuffered') })
    if (isRead) stored.kernelRefs.begin()
    await quarantine(stored)
    t.same(asked, [null, 'removeBuffered'])
    await rooms.close()
  }
})

t.test('while the kernel reads the file its bytes stay, and no other reader gets them', async t => {
  const { rooms, stored } = await holding(t)
  stored.kernelRefs.begin()
  await quarantine(stored)
  t.equal(stored.heldBytes, 2 * objectBytes)
  t.same([...stored.damagedObjects()], [], 'they are not written over')
  await stored.verify(0, allBlocks)
  await stored.scrub(2, allBlocks, true)
  t.same(
    [0, 2].map(object => stored.residency.resident(object)),
    [0n, 0n],
    'a scrub finds them right, and keeps them back',
  )
  stored.kernelRefs.end()
  await quarantine(stored)
  t.equal(stored.heldBytes, 0)
  await rooms.close()
})
