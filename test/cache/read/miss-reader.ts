/** Reads that the native path did not answer: what they ask of the origin, what they get, and how they are counted. */
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import type { LatencyCounts } from '../../../src/base/latency-histogram.ts'
import { noTraces } from '../../../src/base/trace.ts'
import { MissTimeout } from '../../../src/cache/fetch/miss-timeout.ts'
import type { SeenByteRead } from '../../../src/cache/prefetch/prefetcher.ts'
import { MissReader, type MissReaderContext } from '../../../src/cache/read/miss-reader.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'
import { blockBytes, fetching } from '../../fixtures/fetching.ts'
import { keptSpans } from '../../fixtures/kept-spans.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

async function reading(t: Test, more: Partial<MissReaderContext> = {}) {
  const world = await fetching(t)
  const { fetcher, parts, stored, origin, image } = world
  const seen: SeenByteRead[] = []
  const changed: Image[] = []
  const reader = new MissReader({
    ...{ fetcher, memory: parts.memory, traces: noTraces },
    uses: { used: () => {}, wanted: () => {} },
    onRead: (_stored, read) => void seen.push(read),
    missTimeoutFor: () => null,
    stored: async () => stored,
    isReadable: () => true,
    find: () => stored,
    imageChanged: of => void changed.push(of),
    readForOthers: () => {},
    ...more,
  })
  const read = async (offset: number, length: number) => {
    const bytes = await reader.read(image, offset, length, { signal })
    return origin.bytes('a', offset, length).equals(bytes)
  }
  return { ...world, reader, seen, changed, read }
}

t.test('a miss fetches the blocks that cover it, and the next read has them of the store', async t => {
  const { reader, read, origin, stored, rooms, image, seen, settled, close } = await reading(t)
  rooms.clock.advance()
  t.ok(await read(blockBytes + 100, blockBytes))
  t.same(origin.requests, [`read a ${blockBytes} ${2 * blockBytes}`])
  t.equal(stored.residency.lastUse(0), rooms.clock.tick)
  await settled()
  t.ok(await read(blockBytes, 2 * blockBytes))
  t.equal(origin.reads, 1)
  t.same(reader.counters.counts, { hits: 1, misses: 1, hitBytes: 2 * blockBytes, missBytes: blockBytes })
  t.match(reader.counters.of(image), reader.counters.counts)
  const count = ({ counts }: LatencyCounts) => counts.reduce((sum, each) => sum + each)
  t.same([count(reader.counters.latencies.store), count(reader.counters.latencies.origin)], [1, 1])
  const hit = { offset: blockBytes, length: 2 * blockBytes, stalled: false, missed: false }
  t.same(seen, [{ offset: blockBytes + 100, length: blockBytes, stalled: true, missed: true }, hit])
  t.equal((await reader.read(image, 5, 0, { signal })).length, 0)
  t.equal(seen.length, 2, 'an empty read is not reported')
  await close()
})

t.test('a read over what is held, on its way and missing is whole, and each block is fetched once', async t => {
  const { read, origin, stored, settled, close } = await reading(t)
  await stored.writeBlocks(0, 62, origin.bytes('a', 62 * blockBytes, blockBytes))
  const gate = deferred()
  origin.gate = () => gate.promise
  const first = read(64 * blockBytes, 100) // The first block of object 1.
  await nextIteration()
  const second = read(61 * blockBytes + 5, 4 * blockBytes)
  gate.resolve()
  t.same(await Promise.all([first, second]), [true, true])
  t.same(
    origin.requests.toSorted(),
    [61, 63, 64, 65].map(block => `read a ${block * blockBytes} ${blockBytes}`),
  )
  await settled()
  await close()
})

t.test(
  'without a store, or on a disk that must not be waited for, the origin is asked for the bytes alone',
  async t => {
    for (const more of [{ stored: async () => null }, { isReadable: () => false }]) {
      const { reader, read, origin, stored, close } = await reading(t, more)
      await stored.writeBlocks(0, 0, origin.bytes('a', 0, blockBytes))
      t.ok(await read(1000, 3000))
      t.equal(origin.requests.at(-1), 'read a 1000 3000')
      t.match(reader.counters.counts, { hits: 0, misses: 1, missBytes: 3000 })
      await close()
    }
  },
)

t.test('a read under which blocks are evicted is tried again, and after four times goes to the origin', async t => {
  const { reader, read, origin, stored, close } = await reading(t)
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, blockBytes))
  const { read: readStored } = stored
  for (const [failures, requests] of [
    [3, 0],
    [4, 1],
  ] as const) {
    let reads = 0
    stored.read = async (offset, target) => ++reads > failures && readStored.call(stored, offset, target)
    t.ok(await read(0, 1000))
    t.equal(reads, 4)
    t.equal(origin.reads, requests)
  }
  t.match(reader.counters.counts, { hits: 1, misses: 1 })
  stored.read = () => Promise.reject(new CacheError('store-failed', 'the file is closed'))
  t.ok(await read(0, 1000), 'nor does an error of the store reach the reader')
  await close()
})

t.test('a read that waited for the origin is a miss, although the store had all of it in the end', async t => {
  const { reader, read, origin, stored, settled, close } = await reading(t)
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, blockBytes))
  const { read: readStored } = stored
  let reads = 0
  stored.read = async (offset, target) => {
    if (++reads > 1) return readStored.call(stored, offset, target)
    await settled() // What was missing is there when it looks again.
    return false
  }
  t.ok(await read(0, 2 * blockBytes))
  t.match(reader.counters.counts, { hits: 0, misses: 1 })
  t.equal(origin.reads, 1)
  await close()
})

t.test('blocks that are held and not published are verified, not fetched', async t => {
  const { read, origin, stored, rooms, close } = await reading(t)
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, blockBytes))
  await rooms.store.flush()
  stored.residency.revoke(0, 1n) // As after a restart.
  t.ok(await read(0, blockBytes))
  t.equal(origin.reads, 0)
  t.equal(stored.residency.resident(0), 1n)
  await close()
})

t.test('a reader that lends looks at the bytes of the fetch; they are freed when it gives them back', async t => {
  const { reader, image, origin, parts, settled, close } = await reading(t)
  let release = () => {}
  const lend = (back: () => void) => {
    release = back
  }
  const bytes = await reader.read(image, 100, 200, { signal, lend })
  await settled()
  t.equal(bytes.buffer.byteLength, blockBytes, 'no copy')
  t.ok(origin.bytes('a', 100, 200).equals(bytes))
  t.equal(parts.memory.freeBytes, 0)
  release()
  t.equal(parts.memory.freeBytes, blockBytes)
  await reader.read(image, 10 * blockBytes, 200, { signal })
  await settled()
  t.equal(parts.memory.freeBytes, blockBytes, 'others get a copy')
  await close()
})

t.test('an origin that has another version is told of; other failures are the reader’s alone', async t => {
  const { reader, read, origin, image, stored, changed, parts, close } = await reading(t)
  for (const code of ['origin-failed', 'image-changed'] as const) {
    origin.failure = new CacheError(code, 'no')
    await t.rejects(read(0, 10), { code })
    await t.rejects(reader.fill(stored, 1, 1n, signal), { code })
    t.same(changed, code === 'image-changed' ? [image, image] : [])
  }
  t.match(reader.counters.counts, { hits: 0, misses: 0 })
  t.equal(parts.fetches.size, 0)
  await close()
})

t.test('reads that wait for the origin are counted while they do, those that the store answers are not', async t => {
  const { reader, read, origin, stored, settled, close } = await reading(t)
  await stored.writeBlocks(0, 0, origin.bytes('a', 0, blockBytes))
  const gate = deferred()
  origin.gate = () => gate.promise
  const missing = [read(blockBytes, 10), read(5 * blockBytes, 10)]
  t.ok(await read(0, 10))
  t.equal(reader.waiting, 2)
  gate.resolve()
  t.same(await Promise.all(missing), [true, true])
  t.equal(reader.waiting, 0)
  await settled()
  await close()
})

t.test('a reader waits as long as its patience lets it, and leaves the fetch to others', async t => {
  const availability = { state: 'available' as const, ageMs: 0, error: () => new CacheError('origin-away', 'gone') }
  const patience = new MissTimeout({ missMs: 1, onOutage: 'fail', availability })
  let isPatient = false
  const { read, origin, settled, close } = await reading(t, { missTimeoutFor: () => (isPatient ? null : patience) })
  const gate = deferred()
  origin.gate = () => gate.promise
  isPatient = true
  const other = read(0, 100)
  await nextIteration()
  isPatient = false
  await t.rejects(read(0, 100), { code: 'origin-timeout' })
  gate.resolve()
  t.ok(await other)
  t.equal(origin.reads, 1)
  await settled()
  await close()
})

t.test('what a session thread had of the origin counts as a miss, and is told of', async t => {
  const { reader, image, origin, seen, close } = await reading(t)
  reader.originReadBegun(image, 4096, 4096)
  t.match(reader.counters.counts, { misses: 0 })
  reader.originReadDone(image, 4096, 5)
  t.equal(origin.reads, 0)
  t.match(reader.counters.counts, { hits: 0, misses: 1, missBytes: 4096 })
  t.ok(reader.counters.of(image).missMs >= 5)
  t.same(seen, [{ offset: 4096, length: 4096, stalled: true, missed: true, isNative: true }])
  reader.bufferTouched(image, 0, 10)
  t.same(seen[1], { offset: 0, length: 10, stalled: false, missed: false })
  t.match(reader.counters.counts, { hits: 0, misses: 1 }, 'the session counts what it answered')
  await close()
})

t.test('a sampled miss is traced from its plan to its promotion, and what needs no fetch is not', async t => {
  const kept = keptSpans()
  const { reader, image, origin, settled, close } = await reading(t, { traces: kept.tracer })
  await reader.read(image, 100, 10, { signal, opener: 7 })
  await settled()
  t.same(kept.names(), ['plan', 'queue', 'wait', 'miss', 'promotion'])
  const miss = kept.of('miss')
  t.match(miss, { parentId: null, error: null })
  const place = { 'parentfs.origin': image.origin, 'parentfs.image': 'a', 'parentfs.offset': 100, 'parentfs.bytes': 10 }
  t.same(miss.facts, { ...place, 'parentfs.native': false, 'parentfs.reader.pid': 7, 'parentfs.stalled': true })
  for (const name of ['plan', 'queue', 'wait', 'promotion'] as const) t.equal(kept.of(name).parentId, miss.spanId, name)
  t.match(kept.of('wait').facts, { 'parentfs.fetches': 1, 'parentfs.joined': false })
  t.match(kept.of('promotion').facts, { 'parentfs.promoted': true })
  await reader.read(image, 100, 10, { signal })
  await reader.read(image, blockBytes, 10, { signal, isForOthers: true })
  t.equal(kept.ended.length, 5, 'a hit, and a read for another host')
  origin.failure = new CacheError('origin-failed', 'no')
  await t.rejects(reader.read(image, 5 * blockBytes, 10, { signal }), { code: 'origin-failed' })
  t.same(kept.names().slice(5), ['plan', 'queue', 'wait', 'miss'])
  t.same(
    kept.ended.slice(5).map(({ error }) => error),
    [null, null, 'origin-failed', 'origin-failed'],
  )
  await settled()
  await close()
})

t.test('a fill brings what is not held into the store, and ends when it is there', async t => {
  const { reader, origin, stored, settled, close } = await reading(t)
  await stored.writeBlocks(0, 1, origin.bytes('a', blockBytes, blockBytes))
  await reader.fill(stored, 0, 0b111n, signal)
  t.equal(stored.held(0), 0b111n)
  t.same(origin.requests, [`read a 0 ${blockBytes}`, `read a ${2 * blockBytes} ${blockBytes}`])
  await Promise.all([reader.fill(stored, 1, 1n, signal), reader.fill(stored, 1, 1n, signal)])
  t.equal(origin.reads, 3, 'one fetch for both')
  t.match(reader.counters.counts, { hits: 0, misses: 0 })
  await settled()
  await close()
})

t.test('a read that cannot be answered from the store is planned four times, then fetched whole', async t => {
  const image = identify({ origin: 'o', key: 'a', sizeBytes: 100, validator: '1', modifiedMs: 0 })
  const bytes = new Uint8Array(10).fill(7)
  const asked: string[] = []
  const context: Partial<MissReaderContext> = {
    missTimeoutFor: () => null,
    stored: async () => {
      asked.push('plan')
      return { geometry: { parts: () => [] } } as unknown as Awaited<ReturnType<MissReaderContext['stored']>>
    },
    traces: noTraces,
    isReadable: () => false,
    fetcher: {
      fetch: async (_image: unknown, { offset, length }: { readonly offset: number; readonly length: number }) => {
        asked.push(`fetch ${offset} ${length}`)
        return { bytes, release: () => void asked.push('release') }
      },
    } as unknown as MissReaderContext['fetcher'],
  }
  const reader = new MissReader(context as MissReaderContext)
  t.same(await reader.read(image, 20, 10, { signal }), bytes)
  t.same(asked, ['plan', 'plan', 'plan', 'plan', 'fetch 20 10', 'release'])
  t.match(reader.counters.counts, { hits: 0, misses: 1, missBytes: 10 })
  t.equal(reader.waiting, 0)
})

t.test('a reader keeps its place in turns and lends its bytes, also when it says so by getters', async t => {
  const { reader, image, parts, settled, close } = await reading(t)
  const openers: (number | undefined)[] = []
  const budget = parts.fetchBudgets.of(image.origin)
  const run = budget.run.bind(budget)
  budget.run = (bytes, own, work, owner) => {
    openers.push(owner)
    return run(bytes, own, work, owner)
  }
  let releases = 0
  class Request {
    get signal() {
      return signal
    }

    get opener() {
      return 77
    }

    get lend() {
      return (release: () => void) => {
        releases++
        release()
      }
    }
  }
  await reader.read(image, 0, 100, new Request())
  t.same([openers, releases], [[77], 1])
  await settled()
  await close()
})
