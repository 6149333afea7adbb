/** Promotions on request, with what happens meanwhile. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { countOf } from '../../../src/base/image.ts'
import { promoteConcurrency, promoteRangesMax } from '../../../src/cache/operations/limits.ts'
import { type Deferred, deferred, nextIteration } from '../../fixtures/deferred.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const MiB = 1024 * KiB
const quiet = { signal, onProgress: () => {} }

t.test('a promotion brings in what is missing, once, and tells how far it is', async t => {
  const origin = new MemoryOrigin()
  const sizeBytes = 5 * MiB + 123
  origin.put('a', sizeBytes)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  await rooms.cache.read(image, 1 * MiB, 300 * KiB, { signal })
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
  const seen: number[] = []
  const onProgress = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) => {
    t.equal(totalBytes, sizeBytes)
    seen.push(doneBytes)
  }
  const promoted = await rooms.cache.operations.promote('a', null, { signal, onProgress })
  t.match(promoted, { name: 'a', wantedBytes: sizeBytes, presentBytes: 300 * KiB, complete: true })
  t.equal(promoted.promotedBytes, sizeBytes - 300 * KiB)
  let recorded = 0
  rooms.index.forEachObject((imageId, _object, { resident }) => {
    if (imageId === image.id) recorded += countOf(resident)
  })
  t.equal(recorded, Math.ceil(sizeBytes / (4 * KiB)), 'durably')
  t.equal(seen[0], 300 * KiB)
  t.equal(seen.at(-1), sizeBytes)
  t.same(
    seen,
    [...seen].sort((a, b) => a - b),
  )
  t.equal(fetchedBytes(origin), sizeBytes, 'nothing was fetched twice')
  const reads = origin.reads
  t.match(await rooms.cache.operations.promote('a', null, quiet), { promotedBytes: 0, complete: true })
  const bytes = await rooms.cache.read(image, 0, sizeBytes, { signal })
  t.ok(origin.bytes('a', 0, sizeBytes).equals(bytes))
  t.equal(origin.reads, reads)
  await rooms.close()
})

t.test(
  'ranges are promoted in whole blocks, in any order, overlapping or not; what is no range is refused',
  async t => {
    const origin = new MemoryOrigin()
    origin.put('a', 3 * MiB)
    origin.put('empty', 0)
    const rooms = await openRooms({ directory: t.testdir(), origin })
    const { operations } = rooms.cache
    const { image } = await rooms.cache.lookup(null, 'a', { signal })
    const ranges = [
      { from: 2 * MiB, to: Number.MAX_SAFE_INTEGER },
      { from: 5000, to: 5001 },
      { from: 4097, to: 300 * KiB },
      { from: 200 * KiB, to: 250 * KiB },
      { from: 260 * KiB, to: 290 * KiB },
    ]
    const promoted = await operations.promote('a', ranges, quiet)
    t.equal(promoted.promotedBytes, MiB + 300 * KiB - 4096)
    t.equal(promoted.wantedBytes, promoted.promotedBytes, 'what overlaps counts once')
    const stored = rooms.store.find(image.id)!
    t.equal(stored.held(0), 0xffff_ffff_ffff_fffen)
    t.equal(stored.held(1), (1n << 11n) - 1n)
    t.equal(stored.held(7), 0n)
    t.equal(stored.held(8), 0xffff_ffff_ffff_ffffn)
    for (const range of [
      { from: 3 * MiB, to: 4 * MiB },
      { from: 5, to: 5 },
      { from: -1, to: 5 },
    ]) {
      await t.rejects(operations.promote('a', [range], quiet), { code: 'invalid-argument' })
    }
    const many = Array.from({ length: promoteRangesMax + 1 }, () => ({ from: 0, to: 1 }))
    await t.rejects(operations.promote('a', many, quiet), { code: 'invalid-argument' })
    await operations.promote('a', many.slice(1), quiet)
    t.match(await operations.promote('empty', null, quiet), { complete: true, promotedBytes: 0 })
    await t.rejects(operations.promote('nobody', null, quiet), { code: 'not-found' })
    await rooms.close()
  },
)

t.test('two promotions of one image at once fetch it once', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 6 * MiB)
  origin.gate = nextIteration
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const both = await Promise.all([1, 2].map(() => rooms.cache.operations.promote('a', null, quiet)))
  t.match(both, [{ complete: true }, { complete: true }])
  t.equal(fetchedBytes(origin), 6 * MiB)
  await rooms.close()
})

t.test('a promotion is cancelled in the middle, keeps what it has, and goes on from there', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 8 * MiB)
  const left = new AbortController()
  let aborted = 0
  origin.gate = (_key, _offset, fetching) => {
    if (fetchedBytes(origin) < 5 * MiB) return new Promise(resolve => setImmediate(resolve))
    return new Promise((_, reject) => {
      setImmediate(() => left.abort())
      fetching.addEventListener('abort', () => {
        aborted++
        reject(new CacheError('aborted', 'cancelled'))
      })
    })
  }
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { operations } = rooms.cache
  await t.rejects(operations.promote('a', null, { signal: left.signal, onProgress: () => {} }), { code: 'aborted' })
  t.ok(aborted > 0, 'fetches that nobody wants are cancelled')
  await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'what had arrived')
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const heldBytes = rooms.store.find(image.id)!.heldBytes
  t.ok(heldBytes >= 2 * MiB && heldBytes < 8 * MiB, `${heldBytes} held`)
  origin.gate = () => new Promise(resolve => setImmediate(resolve))
  const before = fetchedBytes(origin)
  t.match(await operations.promote('a', null, quiet), { complete: true, presentBytes: heldBytes })
  t.equal(fetchedBytes(origin) - before, 8 * MiB - heldBytes, 'what is there is skipped')
  await rooms.close()
})

t.test('a promotion during an outage fails with the reason, and goes on when it is over', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 4 * MiB)
  const rooms = await openRooms({ directory: t.testdir(), origin })
  await rooms.cache.lookup(null, 'a', { signal })
  origin.gate = async () => {
    if (fetchedBytes(origin) > 2 * MiB) throw new CacheError('origin-unreachable', 'no connection')
  }
  await t.rejects(rooms.cache.operations.promote('a', null, quiet), { code: 'origin-unreachable' })
  origin.gate = async () => {}
  t.match(await rooms.cache.operations.promote('a', null, quiet), { complete: true })
  await rooms.close()
})

t.test('what can never fit is refused before anything is fetched or evicted', async t => {
  const origin = new MemoryOrigin()
  origin.put('large', 40 * MiB)
  origin.put('small', 4 * MiB, 2)
  origin.put('middle', 10 * MiB, 3)
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 16 * MiB })
  const { operations } = rooms.cache
  await operations.promote('small', null, quiet)
  const message = /40 MiB do not fit into .*capacity is 16 MiB.*--range/
  await t.rejects(operations.promote('large', null, quiet), { code: 'overloaded', message })
  t.equal(rooms.cache.counters.eviction.objects, 0)
  t.equal(fetchedBytes(origin), 4 * MiB)
  await operations.promote('middle', null, quiet)
  await operations.pin('small')
  await operations.promote('small', null, quiet)
  await t.rejects(operations.promote('middle', null, quiet), { code: 'overloaded', message: /\d MiB are pinned/ })
  await rooms.close()
})

t.test('when there is no room after all, a promotion ends and says so; nothing is over the ceiling', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 12 * MiB)
  const rooms = await openRooms({ directory: t.testdir(), origin, capacityBytes: 32 * MiB })
  origin.gate = async (_key, offset) => {
    if (offset >= 4 * MiB) rooms.store.capacity.resize(3 * MiB)
  }
  await t.rejects(rooms.cache.operations.promote('a', null, quiet), { code: 'overloaded', message: /set capacity/ })
  await rooms.close()
})

t.test('readers come first: while one waits for the origin, one piece at most is under way', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 24 * MiB)
  origin.put('b', MiB, 2)
  const reader = deferred()
  const pieces: Deferred<void>[] = []
  origin.gate = key => {
    if (key === 'b') return reader.promise
    pieces.push(deferred())
    return pieces.at(-1)!.promise
  }
  const rooms = await openRooms({ directory: t.testdir(), origin })
  const { image } = await rooms.cache.lookup(null, 'b', { signal })
  const promoted = rooms.cache.operations.promote('a', null, quiet)
  await until(() => pieces.length === promoteConcurrency, patienceMs, 'several pieces at once')
  const read = rooms.cache.read(image, 0, 4096, { signal })
  await until(() => origin.requests.some(request => request.startsWith('read b')), patienceMs, 'the reader')
  for (const piece of pieces.splice(0)) piece.resolve()
  for (let k = 0; k < 4; k++) {
    await until(() => pieces.length > 0, patienceMs, 'one more piece')
    for (let turns = 0; turns < 10; turns++) await nextIteration()
    t.equal(pieces.length, 1)
    pieces.shift()!.resolve()
  }
  origin.gate = async () => {}
  reader.resolve()
  await read
  for (const piece of pieces) piece.resolve()
  t.match(await promoted, { complete: true })
  await rooms.close()
})

/** Bytes of image data that were asked for. */
function fetchedBytes(origin: MemoryOrigin): number {
  return origin.requests
    .filter(request => request.startsWith('read'))
    .reduce((sum, request) => sum + Number(request.split(' ')[3]), 0)
}
