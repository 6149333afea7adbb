/** Reads by session threads: their origin is set when an image is opened, never by a read, and taken back in time. */
import t, { type Test } from 'tap'
import type { MountedOrigin, NativeOriginReads } from '../../../src/cache/fetch/origin-table.ts'
import type { OriginReader } from '../../../src/native/origin-reader.ts'
import { NativeReadSources, ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { freeGrant } from '../../fixtures/free-grant.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms } from '../../fixtures/rooms.ts'

const signal = forever
const reader = {} as OriginReader

/** Sources with an origin that has been opened. */
function opened(max: number) {
  const [sources, table] = [new NativeReadSources(), new ReaderTable(max, freeGrant)]
  sources.replace(table)
  return { sources, table }
}

/** A cache with one image, and an open of it that notes what its data file is told. */
async function openCache(t: Test, direct?: NativeOriginReads) {
  const origin = new MemoryOrigin()
  origin.put('a', 100_000)
  const mounted: MountedOrigin = { directory: null, origin, ...(direct ? { direct } : {}) }
  const { cache, close } = await openRooms({ directory: t.testdir(), origin: [mounted] })
  const { image } = await cache.lookup(null, 'a', { signal })
  const set: (OriginReader | null)[] = []
  const open = async () => {
    const file = await cache.open(image)
    const value = (next: OriginReader | null) => set.push(next)
    if (file) Object.defineProperty(file, 'setFetchOrigin', { value, configurable: true })
  }
  await open()
  return { origin, cache, close, image, set, open }
}

/** As the worker gives them to the cache. */
function directOf(sources: NativeReadSources): NativeOriginReads {
  return {
    follow: (image, use) => sources.follow(image, use),
    unfollow: imageId => sources.unfollow(imageId),
    count: () => {},
  }
}

t.test('a miss does not set the origin of native fetches: its opening at the origin does, once', async t => {
  const { sources, table } = opened(8)
  const { cache, close, image, set } = await openCache(t, directOf(sources))
  await cache.read(image, 0, 100, { signal })
  t.same(set, [])
  table.set(image.id, reader)
  for (let k = 1; k < 10; k++) await cache.read(image, k * 8192, 100, { signal })
  t.same(set, [reader])
  await close()
})

t.test('of an origin without native reads nothing is set, ever', async t => {
  const { origin, cache, close, image, set } = await openCache(t)
  for (let k = 0; k < 10; k++) await cache.read(image, k * 8192, 100, { signal })
  origin.put('a', 100_000, 2)
  await t.rejects(cache.read(image, 90_112, 100, { signal }), { code: 'image-changed' })
  cache.release(image)
  t.same(set, [])
  await close()
})

t.test('the last release takes the origin of native fetches back, and the next open has it at once', async t => {
  const { sources, table } = opened(8)
  const { cache, close, image, set, open } = await openCache(t, directOf(sources))
  table.set(image.id, reader)
  await cache.open(image)
  cache.release(image)
  t.same(set.slice(0, 1), [reader])
  const before = set.length
  cache.release(image)
  t.same(set.slice(before), [null])
  table.set(image.id, {} as OriginReader)
  t.equal(set.length, before + 1, 'nothing is set of an image that nobody has open')
  await open()
  t.equal(set.length, before + 2)
  await close()
})

t.test('a version that the origin no longer has is not read natively any more', async t => {
  const { sources, table } = opened(8)
  const { origin, cache, close, image, set } = await openCache(t, directOf(sources))
  table.set(image.id, reader)
  origin.put('a', 100_000, 2)
  await t.rejects(cache.read(image, 0, 100, { signal }), { code: 'image-changed' })
  t.same(set, [reader, null])
  table.set(image.id, {} as OriginReader)
  t.equal(set.length, 2)
  await close()
})
