import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { allBlocks } from '../../src/base/image.ts'
import type { StoredImage } from '../../src/store/image/stored-image.ts'
import { UsageGate } from '../../src/store/image/usage-gate.ts'
import { ImageRemoval, type ImageRemovalContext } from '../../src/store/image-removal.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../fixtures/rooms.ts'

const KiB = 1024

t.test('an image is retired when it holds nothing and nobody works on it; who comes later leaves nothing', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 600 * KiB)
  const directory = t.testdir()
  const { store, index, cache, close } = await openRooms({ directory, origin, timing: { batchMsMax: 3_600_000 } })
  const { image } = await cache.lookup(null, 'a', { signal })
  const stored = (await store.use(image))!
  const path = join(directory, 'images', image.id)
  const block = origin.bytes('a', 0, 4096)

  const landing = stored.writeBlocks(0, 0, block)
  t.equal(await store.removeImage(image.id), false, 'somebody works on it')
  t.equal(await landing, 'landed')
  await store.flush()
  t.equal(await store.removeImage(image.id), false, 'it holds something')
  t.equal(await stored.writeBlocks(0, 1, block), 'landed')
  const evict = () => store.evict([{ stored, object: 0, lastUse: stored.residency.lastUse(0) }])
  t.equal((await evict()).objects, 1)
  t.equal(await store.removeImage(image.id), false, 'a batch knows it')
  await store.flush()
  t.ok(existsSync(path))

  const retired = store.removeImage(image.id)
  t.equal(await store.removeImage(image.id), false, 'it is under way')
  // While it goes and afterwards.
  for (const moment of ['while it goes', 'when it has gone']) {
    t.equal(await stored.writeBlocks(0, 0, block), 'failed', moment)
    t.equal(await stored.read(0, Buffer.alloc(10)), false)
    t.equal(await stored.scrub(0, allBlocks, true), 0n)
    await stored.verify(0, allBlocks)
    await stored.abandon(0, allBlocks)
    await stored.punchOrphans(0)
    await retired
  }
  t.equal(await retired, true)
  await store.flush()
  const left: string[] = []
  index.forEachObject(imageId => left.push(imageId))
  t.same([left, index.images(), existsSync(path), store.find(image.id)], [[], [], false, null])
  t.equal(store.health.state, 'healthy')
  t.equal((await store.use(image))?.heldBytes, 0, 'and it can come again')
  t.ok(existsSync(path))
  await close()
})

/** A removal whose steps are noted, and of which one may fail. */
function removing(failing: string | null) {
  const steps: string[] = []
  const step = (name: string) => {
    steps.push(name)
    if (name === failing) throw new Error(name)
  }
  const usageGate = new UsageGate()
  const stored = { heldBytes: 0, usageGate, file: { close: () => step('close') } } as unknown as StoredImage
  const images = new Map([['a', stored]])
  const health = { failures: 0, writeFailed: () => void health.failures++ }
  const parts = {
    images,
    directory: { remove: async () => step('unlink'), sync: async () => step('sync') },
    index: { removeImage: async () => step('forget') },
    committer: { hasPending: () => false },
    health,
  } as unknown as ImageRemovalContext
  return { steps, images, usageGate, health, removal: new ImageRemoval(parts) }
}

t.test('an image is forgotten first, and its name is gone from the disk when that is done', async t => {
  const { steps, images, removal } = removing(null)
  t.equal(await removal.remove('a'), true)
  t.same(steps, ['forget', 'unlink', 'close', 'sync'])
  t.equal(images.size, 0)
})

t.test('a removal that the disk refuses can be tried again; until then the image is used as before', async t => {
  for (const failing of ['forget', 'unlink']) {
    const { images, usageGate, health, removal } = removing(failing)
    await t.rejects(removal.remove('a'))
    t.same([images.size, usageGate.isClosed, health.failures], [1, false, 1], failing)
    await t.rejects(removal.remove('a'), 'it is not under way any more')
  }
  const { images, usageGate, health, removal } = removing('sync')
  await t.rejects(removal.remove('a'))
  t.same([images.size, usageGate.isClosed, health.failures], [0, true, 1], 'it has gone')
})
