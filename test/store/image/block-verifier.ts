import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const blockBytes = 4096
const objectBytes = 64 * blockBytes

/** A store on a disk that does what `say` was told: see native-bindings/disk/fault-injection.h. */
async function sickStore(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-sick-')) // Not testdir(): it goes before the teardown below.
  const rulesPath = join(directory, 'faults')
  process.env.PARENTFS_FAULTS = rulesPath
  const say = (rules: string) => {
    writeFileSync(`${rulesPath}.new`, `${rules}\n`)
    renameSync(`${rulesPath}.new`, rulesPath)
  }
  const origin = new MemoryOrigin()
  origin.put('a', 4 * objectBytes, 7, [])
  const rooms = await openRooms({ directory: join(directory, 'cache'), origin })
  t.teardown(async () => {
    say('')
    await rooms.close()
    rmSync(directory, { recursive: true })
  })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = (await rooms.store.use(image))!
  const land = (object: number, count: number) =>
    stored.writeBlocks(object, 0, origin.bytes('a', object * objectBytes, count * blockBytes))
  return { origin, rooms, image, stored, say, land }
}

t.test('a block that cannot be read is dropped, its neighbours stay, and the reader gets right bytes', async t => {
  const { origin, rooms, image, stored, say, land } = await sickStore(t)
  await land(0, 4)
  await rooms.store.flush()
  say(`read EIO ${blockBytes} 1`)
  const bytes = await rooms.cache.read(image, 0, 4 * blockBytes, { signal })
  t.ok(origin.bytes('a', 0, 4 * blockBytes).equals(bytes))
  await until(() => stored.residency.resident(0) === 0b1111n, patienceMs, 'the block is promoted again')
  t.equal(stored.corruptBlocks, 0, 'unread is not damaged')
  t.equal(rooms.store.health.state, 'healthy')
})

t.test('on a disk that reads nothing blocks are kept, and published when it is back', async t => {
  const { origin, rooms, image, stored, say, land } = await sickStore(t)
  await land(0, 4)
  await rooms.store.flush()
  say('read EIO')
  rooms.store.health.stalled('read', 1)
  const bytes = await rooms.cache.read(image, 0, 4 * blockBytes, { signal })
  t.ok(origin.bytes('a', 0, 4 * blockBytes).equals(bytes))
  t.equal(stored.held(0), 0b1111n)
  say('')
  await until(() => rooms.store.health.state === 'healthy', patienceMs, 'recovery')
  const requests = origin.requests.length
  await rooms.cache.read(image, 0, 4 * blockBytes, { signal })
  t.equal(origin.requests.length, requests, 'nothing is fetched again')
})

t.test('a sync that fails costs what was written before it ended, its own batch or not', async t => {
  const { rooms, image, stored, say, land } = await sickStore(t)
  await land(0, 2)
  say('sync stall 3600000')
  const flushed = rooms.store.flush()
  await land(1, 2)
  say('sync EIO once')
  await flushed
  await rooms.store.flush()
  t.equal(rooms.store.health.state, 'degraded')
  for (const object of [0, 1]) {
    t.equal(stored.residency.resident(object), 0n)
    t.equal(rooms.index.sums(image.id, object), null)
  }
})
