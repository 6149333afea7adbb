import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { supersededVersionsMax } from '../../../src/cache/names/limits.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, type Rooms, type RoomsOptions, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const sizeBytes = 600 * KiB + 5

/** A cache with a clock that stands still, over an origin that is asked at each lookup. */
async function world(t: Test, more: Partial<RoomsOptions> = {}) {
  const clock = { nowMs: 0 }
  const known = new Set<bigint>()
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes, 1)
  // Not testdir(): it goes before the teardown below.
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-retirer-'))
  const options = {
    directory,
    origin,
    revalidateSeconds: 0,
    retire: { graceMs: 1000, versionsMax: 64 },
    now: () => clock.nowMs,
    acquaintance: { knows: async (nodeId: bigint) => known.has(nodeId) },
    ...more,
  }
  const rooms = await openRooms(options)
  t.teardown(async () => {
    await rooms.close()
    rmSync(directory, { recursive: true })
  })
  const files = () => readdirSync(join(directory, 'images')).sort()
  return { clock, known, origin, options, rooms, files }
}

const lookUp = ({ cache }: Rooms, name = 'a') => cache.lookup(null, name, { signal })

/**
 * Read all of the version that the name means now, until it is held: while its predecessor goes, reads are not
 * promoted.
 */
async function hold(rooms: Rooms, origin: MemoryOrigin, name = 'a') {
  const entry = await lookUp(rooms, name)
  const { image } = entry
  const isHeld = async () => {
    const bytes = await rooms.cache.read(image, 0, image.sizeBytes, { signal })
    if (!origin.bytes(name, 0, image.sizeBytes).equals(bytes)) throw new Error('wrong bytes')
    await until(() => rooms.cache.counters.inflightFetches === 0, patienceMs, 'the promotion')
    return rooms.cache.residence(image).complete
  }
  await until(isHeld, patienceMs, 'a whole image')
  await rooms.store.flush()
  return entry
}

t.test('a version that was replaced goes after a while: record, file, descriptor and node', async t => {
  const { clock, origin, rooms, files, options } = await world(t)
  const old = await hold(rooms, origin)
  origin.put('a', sizeBytes, 2)
  const fresh = await hold(rooms, origin)
  await rooms.cache.retireVersions()
  t.same(files(), [old.image.id, fresh.image.id].sort())
  t.match(rooms.cache.counters.retirement, { superseded: 1, retired: 0 })
  clock.nowMs += 999
  await rooms.cache.retireVersions()
  t.same(rooms.cache.imageOf(old.nodeId), old, 'not yet')
  const { file } = rooms.store.find(old.image.id)!
  clock.nowMs += 1
  await rooms.cache.retireVersions()
  t.same(files(), [fresh.image.id])
  t.match(rooms.cache.counters.retirement, { superseded: 0, retired: 1, forced: 0 })
  t.equal(rooms.cache.imageOf(old.nodeId), null)
  t.equal(rooms.store.find(old.image.id), null)
  await t.rejects(rooms.cache.read(old.image, 0, 10, { signal }), { code: 'image-changed' })
  t.same(files(), [fresh.image.id], 'a read that is late makes no file')
  t.throws(() => file.usage(), { code: 'EBADF' })
  t.same(
    rooms.index.images().map(({ image }) => image.id),
    [fresh.image.id],
  )
  t.equal(rooms.index.sums(old.image.id, 0), null)
  t.equal(rooms.cache.residence(fresh.image).complete, true)
  await rooms.close()
  const next = await openRooms(options)
  t.same(
    [...next.store.images()].map(stored => stored.imageId),
    [fresh.image.id],
  )
  await next.close()
})

t.test('nothing goes that has its name, is open, is being read, or that the kernel knows', async t => {
  const { clock, known, origin, rooms } = await world(t)
  const look = async () => {
    await rooms.cache.retireVersions()
    clock.nowMs += 1000
    await rooms.cache.retireVersions()
  }
  const old = await hold(rooms, origin)
  await look()
  t.equal(rooms.cache.counters.retirement.superseded, 0, 'it has its name')
  origin.put('a', sizeBytes, 2)
  await lookUp(rooms)
  await rooms.cache.open(old.image)
  await rooms.cache.open(old.image)
  await look()
  rooms.cache.release(old.image)
  await look()
  t.same(rooms.cache.imageOf(old.nodeId), old, 'open')
  known.add(old.nodeId)
  rooms.cache.release(old.image)
  await look()
  t.same(rooms.cache.imageOf(old.nodeId), old, 'known')
  known.delete(old.nodeId)
  let arrive = () => {}
  origin.gate = () => new Promise(resolve => (arrive = resolve))
  rooms.store.find(old.image.id)!.residency.revoke(0, 1n)
  const reading = rooms.cache.read(old.image, 0, 10, { signal }).catch(error => error.code)
  await look()
  t.same(rooms.cache.imageOf(old.nodeId), old, 'being read')
  await until(() => origin.reads > 1 || rooms.cache.counters.inflightFetches === 0, patienceMs, 'the read')
  arrive()
  await reading
  await look()
  t.equal(rooms.cache.imageOf(old.nodeId), null, 'and now it goes')
})

t.test('a version that gets its name back is as it was, whenever that is', async t => {
  const { clock, origin, rooms, files } = await world(t)
  const old = await hold(rooms, origin)
  const forth = async () => {
    origin.put('a', sizeBytes, 2)
    await lookUp(rooms)
    await rooms.cache.retireVersions()
    clock.nowMs += 1000
    origin.put('a', sizeBytes, 1)
  }
  await forth()
  t.same(await lookUp(rooms), old)
  const before = origin.reads
  await rooms.cache.retireVersions()
  await hold(rooms, origin)
  t.equal(origin.reads, before, 'nothing was lost')
  // Many moments of a retirement that is under way.
  for (let turns = 0; turns < 40; turns++) {
    await forth()
    const retired = rooms.cache.retireVersions()
    for (let k = 0; k < turns; k++)
      await new Promise(resolve => (k % 2 ? setImmediate(resolve) : queueMicrotask(() => resolve(null))))
    const entry = await hold(rooms, origin)
    await retired
    t.same(entry, old)
    if (!files().includes(old.image.id)) t.fail(`turn ${turns}: no file`)
    const { resident } = { resident: rooms.store.find(old.image.id)!.held(0) }
    if (resident === 0n) t.fail(`turn ${turns}: nothing is held`)
    const recorded = rooms.index.images().some(({ image }) => image.id === old.image.id)
    if (!recorded) t.fail(`turn ${turns}: not recorded`)
  }
})

t.test('a version that is looked up in the turn in which it goes is recorded again', async t => {
  const { clock, origin, rooms } = await world(t)
  const old = await lookUp(rooms)
  origin.put('a', sizeBytes, 2)
  await lookUp(rooms)
  await rooms.cache.retireVersions()
  clock.nowMs += 1000
  origin.put('a', sizeBytes, 1)
  const retire = rooms.store.removeImage.bind(rooms.store)
  let found: Promise<unknown> = Promise.resolve()
  rooms.store.removeImage = imageId => {
    t.same(rooms.cache.imageOf(old.nodeId), old, 'who finds it unknown comes later')
    const retired = retire(imageId)
    found = lookUp(rooms)
    return retired
  }
  await rooms.cache.retireVersions()
  t.same(await found, old)
  t.match(rooms.cache.counters.retirement, { superseded: 1, retired: 1 })
  t.ok(rooms.index.images().some(({ image }) => image.id === old.image.id))
  t.same(rooms.cache.imageOf(old.nodeId), old)
})

t.test('what is held of versions without a name is evicted before all else', async t => {
  const MiB = 1024 * KiB
  const { origin, rooms } = await world(t, { capacityBytes: 12 * MiB })
  origin.put('b', 4 * MiB, 3)
  const b = await hold(rooms, origin, 'b')
  rooms.clock.advance()
  origin.put('a', 4 * MiB, 4)
  const old = await hold(rooms, origin)
  rooms.clock.advance()
  origin.put('a', 4 * MiB, 5)
  await lookUp(rooms)
  await rooms.cache.retireVersions()
  rooms.store.capacity.resize(9 * MiB)
  await rooms.cache.makeRoom()
  t.ok(rooms.cache.counters.eviction.objects > 0)
  t.ok(rooms.cache.residence(b.image).complete, 'the other one is older, and has its name')
  t.notOk(rooms.cache.residence(old.image).complete)
})

t.test('of more such versions than the limit the oldest go at once', async t => {
  const { origin, rooms } = await world(t, { retire: { graceMs: 1e9, versionsMax: 3 } })
  const entries = []
  for (let version = 1; version <= 5; version++) {
    origin.put('a', sizeBytes, version)
    entries.push(await lookUp(rooms))
    await rooms.cache.retireVersions()
  }
  t.same(rooms.cache.counters.retirement, { superseded: 3, retired: 1, forced: 1 })
  t.same(
    entries.map(({ nodeId }) => rooms.cache.imageOf(nodeId) !== null),
    [false, true, true, true, true],
  )
  t.ok(supersededVersionsMax < 256, 'far from the descriptors that a process has')
})

t.test('a name that the origin no longer has loses its version; an origin that is away takes none', async t => {
  const { clock, origin, rooms, files } = await world(t)
  const old = await hold(rooms, origin)
  origin.put('b', sizeBytes, 2)
  await rooms.cache.list(null, '', { signal })
  origin.remove('a')
  await rooms.cache.list(null, '', { signal })
  t.equal(rooms.cache.counters.retirement.superseded, 0, 'a listing alone says nothing')
  origin.failure = new CacheError('origin-unreachable', 'away')
  await rooms.cache.retireVersions()
  t.equal(rooms.cache.counters.retirement.superseded, 0)
  origin.failure = null
  const requests = origin.requests.length
  await rooms.cache.retireVersions()
  t.same(origin.requests.slice(requests), ['lookup a'])
  t.equal(rooms.cache.counters.retirement.superseded, 1)
  clock.nowMs += 1000
  await rooms.cache.retireVersions()
  t.same(files(), [])
  t.equal(rooms.cache.imageOf(old.nodeId), null)
  await rooms.cache.retireVersions()
  t.equal(origin.requests.length, requests + 1, 'asked once')
})

t.test('a retirement that fails leaves everything for another try', async t => {
  const { clock, origin, rooms, files } = await world(t)
  const old = await hold(rooms, origin)
  origin.put('a', sizeBytes, 2)
  await lookUp(rooms)
  await rooms.cache.retireVersions()
  clock.nowMs += 1000
  const { removeImage } = rooms.index
  rooms.index.removeImage = () => Promise.reject(new CacheError('index-failed', 'no'))
  await rooms.cache.retireVersions()
  t.same(rooms.cache.imageOf(old.nodeId), old)
  t.same(files(), [old.image.id])
  rooms.index.removeImage = removeImage
  await rooms.cache.retireVersions()
  t.equal(rooms.cache.imageOf(old.nodeId), null)
  t.same(files(), [])
})
