/** Files that a start takes over, and files that it drops. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { imageBytesMax } from '../../src/origin/wrappers/limits.ts'
import { fillCache } from '../fixtures/filled-cache.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { noTicks, openRooms, forever as signal } from '../fixtures/rooms.ts'

const blockBytes = 4096

t.test('a record of an image that is larger than any may be is dropped, with its names and its file', async t => {
  // ext4 has no files as long as that.
  const top = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'parentfs-adoption-'))
  t.teardown(() => rmSync(top, { recursive: true, force: true }))
  for (const sizeBytes of [imageBytesMax + 1, 2 ** 51, Number.MAX_SAFE_INTEGER]) {
    const directory = join(top, `${sizeBytes}`)
    const origin = new MemoryOrigin()
    origin.put('a', 100_000)
    const facts = { origin: origin.url, key: 'huge', sizeBytes, validator: '1', modifiedMs: 1 }
    const image = await fillCache({ directory, blockBytes, facts, objects: [0, 5], blocks: 1n })
    for (const which of ['first', 'second']) {
      const rooms = await openRooms({ directory, origin })
      t.same(
        rooms.index.images().filter(({ image: { key } }) => key === 'huge'),
        [],
        `${which} start`,
      )
      t.equal(rooms.index.name(origin.url, 'huge'), null)
      t.notOk(readdirSync(join(directory, 'images')).includes(image.id))
      const { image: other } = await rooms.cache.lookup(null, 'a', { signal })
      t.ok(origin.bytes('a', 0, 100_000).equals(await rooms.cache.read(other, 0, 100_000, { signal })))
      await rooms.close()
    }
  }
})

t.test(
  'blocks that are recorded are held and not published, with their last uses; the clock goes on from those',
  async t => {
    const directory = t.testdir()
    const origin = new MemoryOrigin()
    const facts = { origin: origin.url, key: 'a', sizeBytes: 20 * 64 * blockBytes, validator: '1', modifiedMs: 1 }
    const image = await fillCache({ directory, blockBytes, facts, objects: [3, 7], blocks: 0b101n })
    const rooms = await openRooms({ directory, origin, everyTick: noTicks })
    const stored = rooms.store.find(image.id)!
    t.same([...stored.heldObjects()], [3, 7])
    t.same([stored.held(7), stored.zero(7), stored.residency.resident(7)], [0b101n, 0b101n, 0n])
    t.same(
      [3, 7].map(object => stored.residency.lastUse(object)),
      [4, 8],
    )
    t.same([rooms.store.latestUse, rooms.clock.tick], [8, 9])
    await rooms.close()
  },
)

t.test('what has no counterpart goes: records without their file, files without a record', async t => {
  const directory = t.testdir()
  const origin = new MemoryOrigin()
  const facts = { origin: origin.url, sizeBytes: 20 * 64 * blockBytes, validator: '1', modifiedMs: 1 }
  const [lost, empty, kept] = [
    await fillCache({ directory, blockBytes, facts: { ...facts, key: 'lost' }, objects: [0], blocks: 1n }),
    await fillCache({ directory, blockBytes, facts: { ...facts, key: 'empty' }, objects: [], blocks: 1n, nodeId: 7n }),
    await fillCache({ directory, blockBytes, facts: { ...facts, key: 'kept' }, objects: [0], blocks: 1n, nodeId: 8n }),
  ]
  const files = join(directory, 'images')
  rmSync(join(files, lost.id))
  writeFileSync(join(files, 'f'.repeat(32)), 'of no image')
  const rooms = await openRooms({ directory, origin })
  t.same(readdirSync(files), [kept.id])
  t.same(
    [...rooms.store.images()].map(({ imageId }) => imageId),
    [kept.id],
  )
  const recorded: string[] = []
  rooms.index.forEachObject(imageId => void recorded.push(imageId))
  t.same(recorded, [kept.id])
  t.same(
    rooms.index
      .images()
      .map(({ image }) => image.key)
      .sort(),
    ['empty', 'kept', 'lost'],
    'their names still mean something',
  )
  t.ok(empty.id !== kept.id)
  await rooms.close()
})
