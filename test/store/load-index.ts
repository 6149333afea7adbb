/** What a start takes over, and what it drops. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { imageBytesMax } from '../../src/origin/wrappers/limits.ts'
import { fillCache } from '../fixtures/filled-cache.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../fixtures/rooms.ts'

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
