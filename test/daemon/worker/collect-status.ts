/** A status of rooms that nothing is mounted on. */
import t from 'tap'
import { noLatencies } from '../../../src/base/latency-histogram.ts'
import { measureGauges, measurePassthrough, measureReads } from '../../../src/daemon/worker/collect-status.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'

t.test('without a transport the reads of the cache are told, and everything of the kernel is 0', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 4096)
  const { cache, close } = await openRooms({ directory: t.testdir(), origin })
  const { image } = await cache.lookup(null, 'a', { signal })
  await cache.read(image, 0, 100, { signal })
  const { requests, interrupted, openImages, openDirectories, nodes } = measureGauges(cache, null)
  t.same(
    { requests, interrupted, openImages, openDirectories, nodes },
    {
      requests: 0,
      interrupted: 0,
      openImages: 0,
      openDirectories: 0,
      nodes: 0,
    },
  )
  const { reads, latencies } = measureReads(cache, null, { hits: () => null })
  t.same(reads, { hits: 0, hitBytes: 0, misses: 1, missBytes: 100 })
  t.same([latencies.memory, latencies.disk], [noLatencies, noLatencies])
  t.match(measurePassthrough(cache, null), { off: /nothing is mounted/ })
  await close()
})
