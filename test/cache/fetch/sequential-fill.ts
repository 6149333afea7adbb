/**
 * Passes over sequential images land in the cache: each byte is fetched once, and readers share them.
 */
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { SequentialOrigin } from '../../../src/origin/sequential/sequential-origin.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { FrontOnlyOrigin } from '../../fixtures/front-only-origin.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { openRooms, type RoomsOptions } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const signal = new AbortController().signal
const [KiB, MiB] = [1024, 1024 * 1024]
const sizeBytes = 10 * MiB + 77

async function world(t: Test, options: Partial<RoomsOptions> = {}, idleMs = 60_000) {
  const inner = new FrontOnlyOrigin()
  inner.put('a', sizeBytes)
  const directory = options.directory ?? t.testdir()
  const open = async () => {
    const origin = new SequentialOrigin(inner, idleMs)
    const mounted = { directory: null, origin, passes: origin }
    const rooms = await openRooms({ directory, readAheadBytesMax: 8 * MiB, ...options, origin: [mounted] })
    const { image } = await rooms.cache.lookup(null, 'a', { signal })
    const readRight = async (offset: number, length: number) => {
      const bytes = await rooms.cache.read(image, offset, length, { signal })
      t.ok(inner.bytes('a', offset, length).equals(bytes), `${length} bytes at ${offset}`)
    }
    const close = async () => {
      await rooms.close()
      await origin.close()
    }
    const isWhole = () => rooms.cache.residence(image).complete
    return { rooms, image, origin, readRight, close, isWhole }
  }
  return { inner, open, ...(await open()) }
}

t.test('one read has the whole image land, and each byte is sent once', async t => {
  const { inner, readRight, isWhole, close } = await world(t)
  await Promise.all([readRight(9 * MiB, 300 * KiB), readRight(5, 1000), readRight(3 * MiB - 7, 90 * KiB)])
  await until(isWhole, patienceMs, 'the whole image')
  for (let offset = 0; offset < sizeBytes; offset += MiB) await readRight(offset, Math.min(MiB, sizeBytes - offset))
  t.equal(inner.passes, 1)
  t.equal(inner.sentBytes, sizeBytes)
  await close()
})

t.test('a reader joins the piece that the pass is in, before it is whole', async t => {
  const { inner, readRight, isWhole, close } = await world(t)
  const gate = deferred()
  inner.beforeChunk = (_, offset) => (offset > 2.5 * MiB ? gate.promise : undefined)
  await readRight(0, 10)
  await until(() => inner.sentBytes > 2.5 * MiB, patienceMs, 'the middle of the third piece')
  const read = readRight(2 * MiB + 5, 10)
  gate.resolve()
  await read
  await until(isWhole, patienceMs, 'the whole image')
  t.equal(inner.passes, 1)
  await close()
})

t.test('a pass that breaks goes on anew for its readers, and held blocks are not written again', async t => {
  const { inner, rooms, readRight, isWhole, close } = await world(t)
  inner.beforeChunk = (pass, offset) => {
    if (pass === 1 && offset > 6 * MiB) throw new CacheError('origin-failed', 'reset')
  }
  await readRight(9 * MiB, 10)
  t.equal(inner.passes, 2)
  await until(isWhole, patienceMs, 'the whole image')
  t.ok(rooms.cache.counters.promotion.promotedBytes < sizeBytes + 64 * KiB)
  await close()
})

t.test('what has landed outlasts a restart, and the rest comes by another pass', async t => {
  const { inner, open, ...first } = await world(t)
  const never = deferred()
  inner.beforeChunk = (pass, offset) => (pass === 1 && offset > 6 * MiB ? never.promise : undefined)
  await first.readRight(0, 10)
  const { residence } = { residence: () => first.rooms.cache.residence(first.image).residentBytes }
  await until(() => residence() >= 5 * MiB, patienceMs, 'half of it')
  t.ok(first.rooms.cache.images()[0]!.passBytes! >= 5 * MiB, 'the pass shows how far it is')
  await first.rooms.close()
  never.resolve()
  await first.origin.close()
  const second = await open()
  t.ok(second.rooms.cache.residence(second.image).residentBytes >= 5 * MiB)
  await second.readRight(4 * MiB, 100 * KiB)
  t.equal(inner.passes, 1, 'that was held')
  await second.readRight(8 * MiB, 100 * KiB)
  await until(second.isWhole, patienceMs, 'the whole image')
  t.equal(inner.passes, 2)
  await second.close()
})

t.test('an image that is larger than the cache is read right, by further passes', async t => {
  const { inner, rooms, readRight, close } = await world(t, { capacityBytes: 6 * MiB })
  for (let offset = 0; offset < sizeBytes; offset += MiB) await readRight(offset, Math.min(MiB, sizeBytes - offset))
  await readRight(0, 10)
  await readRight(9 * MiB, 10)
  t.ok(rooms.store.capacity.usedBytes <= 6 * MiB)
  t.ok(inner.passes <= 12, `${inner.passes} passes`)
  await close()
})

t.test('preloading has one pass, and skips what is held', async t => {
  const { inner, rooms, readRight, close } = await world(t)
  const progress: number[] = []
  const onProgress = ({ doneBytes }: { readonly doneBytes: number }) => void progress.push(doneBytes)
  const promoted = await rooms.cache.operations.promote('a', null, { signal, onProgress })
  t.match(promoted, { complete: true })
  t.equal(inner.passes, 1)
  t.ok(progress.length > 3)
  await readRight(7 * MiB, MiB)
  await close()
})

t.test('of an image that its pass finds damaged nothing is served any more, and its blocks are dropped', async t => {
  const logger = keepingLogger()
  const { inner, rooms, image, readRight, close } = await world(t, { logger })
  inner.beforeChunk = (_, offset) => {
    if (offset > 9 * MiB) throw new CacheError('image-corrupt', 'more than it states')
  }
  // Promotions that were under way when it was quarantined are dropped by the next look.
  rooms.cache.startBackground()
  await readRight(8 * MiB, 10)
  await until(() => rooms.cache.images()[0]?.digest === 'mismatch', patienceMs, 'the quarantine')
  const damaged = { code: 'image-corrupt', message: /damaged at its origin: publish the image again, and/ }
  await t.rejects(rooms.cache.read(image, 0, 10, { signal }), damaged)
  const errors = logger.lines.filter(({ level }) => level === 'error').map(({ message }) => message)
  t.same(errors, ['an image is damaged at its origin; its reads fail from now on'])
  await until(() => rooms.cache.residence(image).residentBytes === 0, patienceMs, 'the end of its blocks')
  t.equal(rooms.cache.passthrough.offers(image), false)
  await close()
})

t.test('a disk that takes nothing holds no reader up', async t => {
  const { inner, rooms, readRight, close } = await world(t)
  rooms.store.health.writeFailed(Object.assign(new Error('EIO'), { code: 'EIO' }))
  await readRight(9 * MiB, 1000)
  t.equal(inner.passes, 1)
  await close()
})

t.test('a pass that is quicker than the disk waits, and loses nothing', async t => {
  const { inner, rooms, readRight, isWhole, close } = await world(t, { promotionBytesMax: 2 * MiB })
  await readRight(9 * MiB, 10)
  await until(isWhole, patienceMs, 'the whole image')
  t.equal(inner.passes, 1)
  t.equal(rooms.cache.counters.promotion.dropped, 0)
  await close()
})
