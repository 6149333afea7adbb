/** Evictions on request, with what happens meanwhile. */
import t from 'tap'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const MiB = 1024 * KiB
const quiet = { signal, onProgress: () => {} }

t.test('an image that is evicted under load is read right, before, meanwhile and after', async t => {
  const origin = new MemoryOrigin()
  const sizeBytes = 6 * MiB
  origin.put('a', sizeBytes)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { cache } = rooms
  const { image } = await cache.lookup(null, 'a', { signal })
  await cache.open(image)
  await cache.operations.promote('a', null, quiet)
  t.match(cache.images(), [{ name: 'a', open: true, complete: true }])
  let [reads, stop] = [0, false]
  const reader = async (seed: number) => {
    for (let k = seed; !stop; k++) {
      const at = (k * 7919 * 512) % (sizeBytes - 64 * KiB)
      const bytes = await cache.read(image, at, 10_000, { signal })
      if (!origin.bytes('a', at, 10_000).equals(bytes)) t.fail(`wrong bytes at ${at}`)
      reads++
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  const readers = [1, 100, 200].map(reader)
  for (let round = 0; round < 5; round++) {
    const evicted = await cache.operations.evict('a', quiet)
    t.ok(evicted.bytes > 0, `${evicted.bytes} evicted, ${evicted.leftBytes} left`)
    await until(() => cache.images()[0]!.residentBytes > 0, patienceMs, 'the readers to bring something back')
  }
  stop = true
  await Promise.all(readers)
  t.ok(reads > 20, `${reads} reads`)
  await until(() => cache.counters.inflightFetches === 0, patienceMs, 'the promotions')
  t.match(await cache.operations.evict('a', quiet), { leftBytes: 0 })
  t.match(cache.images(), [{ residentBytes: 0, complete: false }])
  t.ok(origin.bytes('a', 0, sizeBytes).equals(await cache.read(image, 0, sizeBytes, { signal })))
  cache.release(image)
  t.match(cache.images(), [{ open: false }])
  await rooms.close()
})

t.test('what is pinned, unknown, or on a sick disk is not evicted; an eviction can be left', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 2 * MiB)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { operations } = rooms.cache
  await t.rejects(operations.evict('a', quiet), { code: 'not-found' }, 'nobody has looked it up')
  await rooms.cache.lookup(null, 'a', { signal })
  t.match(await operations.evict('a', quiet), { objects: 0, bytes: 0 })
  await operations.promote('a', null, quiet)
  await operations.pin('a')
  await t.rejects(operations.evict('a', quiet), { code: 'invalid-argument', message: /unpin/ })
  await operations.unpin('a')
  await t.rejects(operations.evict('a', { signal: AbortSignal.abort(), onProgress: () => {} }), { code: 'aborted' })
  for (let k = 0; k < 3; k++) rooms.store.health.writeFailed(new Error('EIO'))
  await t.rejects(operations.evict('a', quiet), { code: 'store-failed', message: /degraded/ })
  origin.put('b', MiB, 2)
  await t.rejects(operations.promote('b', null, quiet), { code: 'store-failed', message: /degraded/ })
  await rooms.close()
})
