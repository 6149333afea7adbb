/** A boot profile that another host has learned: used at a cold open, left with the group when it was learned here. */
import t from 'tap'
import { formatProfileFile, parseProfileFile } from '../../../src/cache/prefetch/profile-file.ts'
import { fetchesEnded, openImage, readPlaces } from '../../fixtures/cold-reads.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, slowTime } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const block = 64 * KiB
const options = { blockBytes: block, capacityBytes: 512 * MiB, readAheadBytesMax: 16 * MiB, now: slowTime }
const boot = Array.from({ length: 24 }, (_, k) => ((k * k * 37 + 11) % 1000) * block)

/** A group with one text for all names. */
function groupWith(text: string | null) {
  const pushed: string[] = []
  return { pushed, find: async () => text, push: (...[, , said]: string[]) => void pushed.push(said!) }
}

t.test('what one host has learned is fetched ahead on another at its first open', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 64 * MiB, 1)
  const first = groupWith(null)
  const teacher = await openRooms({ ...options, directory: t.testdir(), origin, profileGroup: first })
  t.ok(await readPlaces(teacher, origin, boot))
  await teacher.close()
  t.equal(first.pushed.length, 1)
  const second = groupWith(first.pushed[0]!)
  const pupil = await openRooms({ ...options, directory: t.testdir(), origin, profileGroup: second })
  await openImage(pupil)
  await until(() => pupil.cache.counters.prefetch.profiles.fromGroup === 1, patienceMs, 'the profile')
  await fetchesEnded(pupil, 20_000)
  const before = origin.reads
  t.ok(await readPlaces(pupil, origin, boot))
  t.equal(origin.reads, before, 'nothing more was asked for')
  t.match((await pupil.cache.operations.explain('a', 0, 1)).profile, /of the group/)
  await pupil.close()
  t.equal(second.pushed.length, 1, 'what was learned is left with the group')
})

t.test('a profile that is none is left out, and one that predicts badly is dropped here alone', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 256 * MiB, 1)
  const bad = groupWith('{"format":"parentfs-profile"}')
  const rooms = await openRooms({ ...options, directory: t.testdir(), origin, profileGroup: bad })
  t.ok(await readPlaces(rooms, origin, boot))
  await rooms.close()
  t.match(rooms.cache.counters.prefetch.profiles, { fromGroup: 0, recorded: 1, dropped: 0 })

  const file = parseProfileFile(bad.pushed[0]!)
  const wrong = groupWith(formatProfileFile(file))
  const other = await openRooms({ ...options, directory: t.testdir(), origin, profileGroup: wrong })
  await openImage(other)
  await until(() => other.cache.counters.prefetch.profiles.fromGroup === 1, patienceMs, 'the profile')
  await fetchesEnded(other, 20_000)
  t.ok(await readPlaces(other, origin, [200 * MiB, 240 * MiB]))
  await other.close()
  t.match(other.cache.counters.prefetch.profiles, { fromGroup: 1, recorded: 1, dropped: 1 })
})
