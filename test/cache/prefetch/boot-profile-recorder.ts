import t from 'tap'
import { fetchesEnded, openImage, readPlaces } from '../../fixtures/cold-reads.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms, type Rooms, slowTime } from '../../fixtures/rooms.ts'

const signal = forever
const [KiB, MiB] = [1024, 1024 ** 2]
const block = 64 * KiB
const options = { blockBytes: block, capacityBytes: 512 * MiB, readAheadBytesMax: 16 * MiB, now: slowTime }

/** Scattered enough for nothing but a profile to foresee it: no two are near, and no steps are equal. */
const boot = Array.from({ length: 24 }, (_, k) => ((k * k * 37 + 11) % 1000) * block)

const settled = (rooms: Rooms) => fetchesEnded(rooms, 10_000)

async function readAll(rooms: Rooms, origin: MemoryOrigin, offsets: readonly number[]): Promise<boolean> {
  const isRight = await readPlaces(rooms, origin, offsets)
  await settled(rooms)
  return isRight
}

/** Evict everything, and open it again. */
async function openCold(rooms: Rooms): Promise<void> {
  await rooms.cache.operations.evict('a', { signal, onProgress: () => {} })
  await openImage(rooms)
  await settled(rooms)
}

t.test('what was read after a cold open is there at the next one, also of a new version', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 64 * MiB, 1)
  const directory = t.testdir()
  const first = await openRooms({ ...options, directory, origin })
  t.ok(await readAll(first, origin, boot))
  t.equal(first.cache.counters.reads.misses, new Set(boot).size)
  await first.close()

  const second = await openRooms({ ...options, directory, origin })
  await openCold(second)
  t.equal(second.cache.counters.prefetch.profiles.replayed, 1)
  const before = origin.reads
  t.ok(await readAll(second, origin, boot))
  t.equal(origin.reads, before, 'nothing more was asked for')
  t.equal(second.cache.counters.reads.misses, 0)
  await second.close()
  t.equal(second.cache.counters.prefetch.profiles.recorded, 1)

  origin.put('a', 64 * MiB, 2)
  const third = await openRooms({ ...options, directory, origin, revalidateSeconds: 0 })
  await openImage(third)
  await settled(third)
  t.ok(await readAll(third, origin, boot), 'bytes of the new version')
  t.equal(third.cache.counters.reads.misses, 0)
  await third.close()
})

t.test('a profile that predicts badly is dropped, and one that predicts well is not', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 256 * MiB, 1)
  const directory = t.testdir()
  const first = await openRooms({ ...options, directory, origin })
  t.ok(await readAll(first, origin, boot))
  await first.close()
  const second = await openRooms({ ...options, directory, origin })
  await openCold(second)
  t.ok(await readAll(second, origin, [200 * MiB, 240 * MiB]))
  await second.close()
  t.match(second.cache.counters.prefetch.profiles, { dropped: 1, recorded: 0 })
  const third = await openRooms({ ...options, directory, origin })
  await openCold(third)
  t.equal(third.cache.counters.prefetch.profiles.replayed, 0)
  await third.close()
})

t.test('an image that is warm is neither noted nor fetched', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 64 * MiB, 1)
  const directory = t.testdir()
  const first = await openRooms({ ...options, directory, origin })
  t.ok(await readAll(first, origin, boot))
  await first.close()
  const second = await openRooms({ ...options, directory, origin })
  await openImage(second)
  t.match(second.cache.counters.prefetch.profiles, { recording: 0, replayed: 0 })
  await second.close()
})

t.test('a profile goes to another cache, of other blocks, and is of use there at once', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 64 * MiB, 1)
  const [here, there] = [t.testdir({ here: {}, there: {} })].flatMap(top => [`${top}/here`, `${top}/there`])
  const first = await openRooms({ ...options, directory: here!, origin })
  t.equal(await first.cache.operations.profile('a', false), null)
  t.ok(await readAll(first, origin, boot))
  await first.close()
  const second = await openRooms({ ...options, directory: here!, origin })
  const profile = await second.cache.operations.profile('a', false)
  await second.close()
  t.match(profile, { openers: 1, file: { sizeBytes: 64 * MiB, validator: 'seed 1' } })

  const other = await openRooms({ ...options, blockBytes: 16 * KiB, directory: there!, origin })
  const past = { ...profile!.file, ranges: [[64 * MiB, 4096]] as const }
  await t.rejects(other.cache.operations.importProfile('a', past), { code: 'invalid-argument' })
  await other.cache.operations.importProfile('a', profile!.file)
  await openImage(other)
  await settled(other)
  t.ok(await readAll(other, origin, boot))
  t.equal(other.cache.counters.reads.misses, 0)
  await other.close()
})
