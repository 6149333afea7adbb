/**
 * Blocks that share their place with another data file: on XFS, where the file system can, and elsewhere, where they are
 * written. Bytes are right in either case.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadAddon } from '../../../src/native/addon.ts'
import { cannotMount } from '../../fixtures/daemon.ts'
import { damage } from '../../fixtures/damage.ts'
import { makeLoopDisk } from '../../fixtures/loop-disk.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { seeded } from '../../fixtures/seeded.ts'

const blockBytes = 65_536
const sizeBytes = 64 * blockBytes + 1000
const random = seeded(7)
const bytes = Buffer.from(Array.from({ length: sizeBytes }, () => Math.floor(random() * 256)))

async function files(t: Test, directory: string) {
  const engine = loadAddon().createEngine({ storeThreads: 1 })
  t.teardown(() => engine.close())
  const paths = ['older', 'newer'].map(name => join(directory, name))
  const [older, newer] = await Promise.all(paths.map(path => engine.openFile(path, sizeBytes, blockBytes)))
  t.teardown(() => {
    for (const file of [older, newer]) file!.close()
  })
  const { error } = await older!.writeBlocks(
    [0, 64 * blockBytes],
    [bytes.subarray(0, 64 * blockBytes), bytes.subarray(64 * blockBytes)],
  )
  t.equal(error, null)
  return { older: older!, newer: newer!, olderPath: paths[0]! }
}

/** Three blocks, the second of which the older file lacks, and the third lies elsewhere there. */
const offsets = [2 * blockBytes, -1, 9 * blockBytes]
const wanted = Buffer.concat([
  bytes.subarray(2 * blockBytes, 3 * blockBytes),
  Buffer.alloc(blockBytes, 3),
  bytes.subarray(9 * blockBytes, 10 * blockBytes),
])

async function isRight(newer: Awaited<ReturnType<typeof files>>['newer'], sums: Uint32Array): Promise<boolean> {
  const all = new Uint32Array(64)
  all.set(sums, 5)
  return (await newer.verify(0, 0b1110_0000n, all, false)).good === 0b1110_0000n
}

t.test('XFS shares what is the same, and not what has rotted', { skip: cannotMount }, async t => {
  const disk = await makeLoopDisk(t, 'xfs', 400 * 2 ** 20)
  const { older, newer, olderPath } = await files(t, disk.mountpoint)
  await older.sync()
  const before = disk.takenBytes()
  const first = await newer.writeBlocks([5 * blockBytes], [wanted], false, { file: older, offsets })
  t.match(first, { error: null, clonedBytes: 2 * blockBytes })
  t.ok(await isRight(newer, first.sums))
  await newer.sync()
  t.ok(disk.takenBytes() - before < 2 * blockBytes, 'they take no space once more')
  damage(olderPath, 2 * blockBytes + 100)
  const second = await newer.writeBlocks([5 * blockBytes], [wanted], false, { file: older, offsets })
  t.match(second, { error: null, clonedBytes: blockBytes })
  t.ok(await isRight(newer, second.sums), 'the other one was written')
  const odd = await newer.writeBlocks([5 * blockBytes], [wanted], false, {
    file: older,
    offsets: [17, -1, 9 * blockBytes],
  })
  t.match(odd, { error: null, clonedBytes: blockBytes }, 'at no block of the file system')
  t.ok(await isRight(newer, odd.sums))
})

t.test('a store counts what XFS shares, and what it writes once more', { skip: cannotMount }, async t => {
  const disk = await makeLoopDisk(t, 'xfs', 400 * 2 ** 20)
  const origin = new MemoryOrigin()
  for (const name of ['older', 'newer']) origin.put(name, 64 * blockBytes, 7)
  const rooms = await openRooms({ directory: join(disk.mountpoint, 'cache'), origin, blockBytes })
  t.teardown(() => rooms.close())
  const [older, newer] = await Promise.all(
    ['older', 'newer'].map(async name => {
      const { image } = await rooms.cache.lookup(null, name, { signal })
      return { image, stored: (await rooms.store.use(image))! }
    }),
  )
  const blocks = (first: number, count: number) => origin.bytes('older', first * blockBytes, count * blockBytes)
  t.equal(await older!.stored.writeBlocks(0, 0, blocks(0, 4)), 'landed')
  await rooms.store.flush()
  rooms.store.takenOf = ({ id }) =>
    id === newer!.image.id ? { imageId: older!.image.id, sourceOf: offset => offset } : null
  t.same(rooms.store.taken, { reflinkedBytes: 0, copiedBytes: 0 })
  t.equal(await newer!.stored.writeBlocks(0, 0, blocks(0, 2)), 'landed')
  t.same(rooms.store.taken, { reflinkedBytes: 2 * blockBytes, copiedBytes: 0 })
  for (const first of [3, 5]) t.equal(await newer!.stored.writeBlocks(0, first, blocks(first, 1)), 'landed')
  t.same(rooms.store.taken, { reflinkedBytes: 3 * blockBytes, copiedBytes: blockBytes }, 'the older one lacks block 5')
  for (const [first, count] of [
    [0, 2],
    [3, 1],
    [5, 1],
  ] as const) {
    const target = Buffer.alloc(count * blockBytes)
    t.ok(await newer!.stored.read(first * blockBytes, target))
    t.ok(target.equals(blocks(first, count)))
  }
})

t.test('a file system that cannot gets all of it written', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-reflink-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const { older, newer } = await files(t, directory)
  const { sums, error } = await newer.writeBlocks([5 * blockBytes], [wanted], false, { file: older, offsets })
  t.equal(error, null)
  t.ok(await isRight(newer, sums))
  t.throws(() => newer.writeBlocks([0], [wanted], false, { file: older, offsets: [0] }), 'a source for each block')
})
