/** Boot profiles that lie beside images: found, judged, fetched ahead, and given up. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import {
  profileFileBytesMax,
  profileFindsMax,
  profilesMissingMax,
  profileTrialBytes,
} from '../../../src/cache/prefetch/limits.ts'
import { formatProfileFile } from '../../../src/cache/prefetch/profile-file.ts'
import { PublishedProfiles } from '../../../src/cache/prefetch/published-profiles.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { profileSuffix } from '../../../src/origin/contract/image-name.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import { fetchesEnded, openImage, readPlaces } from '../../fixtures/cold-reads.ts'
import { type Fault, startHttpOrigin } from '../../fixtures/http-origin.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms, type Rooms, slowTime } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const signal = forever
const [KiB, MiB] = [1024, 1024 ** 2]
const block = 64 * KiB
const sizeBytes = 256 * MiB
const options = { blockBytes: block, capacityBytes: 1024 * MiB, readAheadBytesMax: 16 * MiB, now: slowTime }

/** Scattered enough for nothing but a profile to foresee it. */
const boot = Array.from({ length: 24 }, (_, k) => ((k * k * 37 + 11) % 1000) * block)
const ranges = [...new Set(boot)].map(offset => [offset, block] as const)
const profile = { sizeBytes, validator: null as string | null, ranges }

/** An origin with an image and what lies beside it. */
function publish(text: string | Buffer | null, name = 'a'): MemoryOrigin {
  const origin = new MemoryOrigin()
  origin.put(name, sizeBytes, 1)
  if (text !== null) origin.putText(`${name}${profileSuffix}`, text)
  return origin
}

function roomsOf(directory: string, origin: MemoryOrigin): Promise<Rooms> {
  return openRooms({ ...options, directory, origin: [{ directory: null, origin, hasProfiles: true }] })
}

function published({ cache }: Rooms) {
  return cache.counters.prefetch.profiles.published
}

const settled = (rooms: Rooms) => fetchesEnded(rooms, patienceMs)

/** The search has ended, one way or the other. */
async function searched(rooms: Rooms, count = 1): Promise<void> {
  const ended = () => published(rooms).found + Object.values(published(rooms).refused).reduce((a, b) => a + b)
  await until(() => ended() === count, patienceMs, 'the end of the search')
  await settled(rooms)
}

async function readAll(rooms: Rooms, origin: MemoryOrigin, offsets: readonly number[]): Promise<boolean> {
  const isRight = await readPlaces(rooms, origin, offsets)
  await settled(rooms)
  return isRight
}

t.test('at the first open of all, the blocks of a published profile are there before they are read', async t => {
  const origin = publish(formatProfileFile({ ...profile, validator: 'seed 1' }))
  const rooms = await roomsOf(t.testdir(), origin)
  const image = await openImage(rooms)
  await searched(rooms)
  t.match(published(rooms), { found: 1, replayed: { version: 1, name: 0 } })
  t.equal((await rooms.cache.operations.explain('a', 0, 1)).profile, 'published, fetched ahead at this open')
  t.equal(rooms.cache.residence(image).residentBytes, ranges.length * block)
  const before = origin.reads
  t.ok(await readAll(rooms, origin, boot))
  t.equal(origin.reads, before, 'nothing more was asked for')
  t.equal(rooms.cache.counters.reads.misses, 0)
  await rooms.close()
  t.equal(rooms.cache.counters.prefetch.profiles.recorded, 1, 'and is known here from now on')

  const without = publish(null)
  const bare = await roomsOf(t.testdir(), without)
  await openImage(bare)
  await searched(bare)
  t.ok(await readAll(bare, without, boot))
  t.equal(bare.cache.counters.reads.misses, ranges.length)
  t.match(published(bare), { found: 0, refused: { absent: 1 } })
  await bare.close()
})

t.test(
  'what was learned here comes before what is published, and where the setting is off nothing is asked',
  async t => {
    const origin = publish(formatProfileFile(profile))
    const directory = t.testdir()
    const first = await openRooms({ ...options, directory, origin })
    await openImage(first)
    t.ok(await readAll(first, origin, [5 * MiB]))
    await first.close()
    t.notOk(origin.requests.some(request => request.includes(profileSuffix)))
    const second = await roomsOf(directory, origin)
    await second.cache.operations.evict('a', { signal, onProgress: () => {} })
    const image = await openImage(second)
    await settled(second)
    t.equal(second.cache.residence(image).residentBytes, block)
    t.match(await second.cache.operations.explain('a', 0, 1), { profile: 'learned from 1 cold opens' })
    t.notOk(origin.requests.some(request => request.includes(profileSuffix)))
    await second.close()
  },
)

t.test('a profile of another version is fetched part by part, as far as it proves right', async t => {
  // Three times the first part. No two blocks are side by side, and no steps are equal: a cube has one root here.
  const blocks = (3 * profileTrialBytes) / block
  const order = Array.from({ length: blocks }, (_, k) => ((k * k * k) % 2039) * 2 * block)
  const other = { sizeBytes: sizeBytes * 2, validator: 'x', ranges: order.map(offset => [offset, block] as const) }
  const origin = publish(formatProfileFile(other))
  const rooms = await roomsOf(t.testdir(), origin)
  const image = await openImage(rooms)
  await searched(rooms)
  t.match(published(rooms), { found: 1, replayed: { version: 0, name: 1 } })
  const held = () => rooms.cache.residence(image).residentBytes
  t.equal(held(), profileTrialBytes)
  const half = blocks / 6
  for (const offset of order.slice(0, half - 1)) await rooms.cache.read(image, offset, 4 * KiB, { signal })
  await settled(rooms)
  t.equal(held(), profileTrialBytes, 'less than half of it was read')
  await rooms.cache.read(image, order[half - 1]!, 4 * KiB, { signal })
  await settled(rooms)
  t.equal(held(), 3 * profileTrialBytes, 'then comes twice as much')
  await rooms.close()
})

t.test('a profile of another image costs one part, and what was read in its place is learned', async t => {
  const order = Array.from({ length: 512 }, (_, k) => (k * 2 + 1024) * block)
  const other = { sizeBytes: 2 ** 40, validator: 'x', ranges: order.map(offset => [offset, block] as const) }
  const origin = publish(formatProfileFile(other))
  const directory = t.testdir()
  const rooms = await roomsOf(directory, origin)
  const image = await openImage(rooms)
  await searched(rooms)
  t.ok(await readAll(rooms, origin, [0, 9 * MiB]))
  t.equal(rooms.cache.residence(image).residentBytes, profileTrialBytes + 2 * block)
  await rooms.close()
  t.match(rooms.cache.counters.prefetch.profiles, { dropped: 1, recorded: 1 })
  const again = await roomsOf(directory, origin)
  const learned = await again.cache.operations.profile('a', false)
  t.same(learned?.file.ranges, [
    [0, block],
    [9 * MiB, block],
  ])
  await again.close()
})

t.test('no profile fetches more than half of its image', async t => {
  const origin = new MemoryOrigin()
  origin.put('a', 8 * MiB, 1)
  origin.putText(`a${profileSuffix}`, formatProfileFile({ ...profile, sizeBytes: 8 * MiB, ranges: [[0, 8 * MiB]] }))
  const rooms = await roomsOf(t.testdir(), origin)
  const image = await openImage(rooms)
  await searched(rooms)
  t.equal(rooms.cache.residence(image).residentBytes, 4 * MiB)
  await rooms.close()
})

t.test('an unusable profile is refused by its reason, delays no read, and is not asked for twice', async t => {
  const giant = publish(Buffer.alloc(profileFileBytesMax + 1, ' '))
  const denied = publish(formatProfileFile(profile))
  const plain = denied.lookup.bind(denied)
  denied.lookup = key => {
    if (!key.endsWith(profileSuffix)) return plain(key)
    denied.requests.push(`lookup ${key}`)
    return Promise.reject(new CacheError('access-denied', `${key}: 403`))
  }
  const cases: readonly (readonly [string, MemoryOrigin, keyof ReturnType<typeof published>['refused']])[] = [
    ['none', publish(null), 'absent'],
    ['403', denied, 'denied'],
    ['giant', giant, 'too-large'],
    ['empty', publish(''), 'invalid'],
    ['of another format', publish('<html>no such page</html>'), 'invalid'],
    ['of a later version', publish(formatProfileFile(profile).replace('"version":1', '"version":2')), 'invalid'],
  ]
  for (const [what, origin, reason] of cases) {
    const rooms = await roomsOf(t.testdir({}), origin)
    t.ok(await readAll(rooms, origin, [0]), what)
    await searched(rooms)
    t.equal(published(rooms).refused[reason], 1, what)
    t.match(await rooms.cache.operations.explain('a', 0, 1), { profile: new RegExp(`none published \\(${reason}\\)`) })
    await rooms.close()
  }
  t.notOk(
    giant.requests.some(request => request.startsWith(`read a${profileSuffix}`)),
    'the giant is not read',
  )

  // The outcome belongs to the version: another one is asked for.
  const origin = publish(null)
  const found = new PublishedProfiles({ origins: tableOf(origin), logger: silentLogger })
  const first = identify(await origin.lookup('a'))
  t.equal(await found.find(first), null)
  t.equal(await found.find(first), null)
  t.equal(found.counters.refused.absent, 1)
  origin.put('a', sizeBytes, 2)
  t.equal(await found.find(identify(await origin.lookup('a'))), null)
  t.equal(found.counters.refused.absent, 2)
  t.equal(await found.find({ ...first, key: `a${profileSuffix}`, id: 'of a profile' }), null)
  t.equal(found.counters.refused.absent, 2, 'a profile has none')
})

t.test('an origin that is slow is waited for in the background, as long as a search may take', async t => {
  const origin = publish(formatProfileFile(profile))
  origin.gate = (key, _offset, signal) =>
    key.endsWith(profileSuffix)
      ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(new CacheError('aborted', 'late'))))
      : Promise.resolve()
  const rooms = await roomsOf(t.testdir(), origin)
  t.ok(await readAll(rooms, origin, [0]), 'reads go on')
  await rooms.close() // Ends the search.
  t.match(published(rooms), { found: 0, refused: { unavailable: 0 } })

  const found = new PublishedProfiles({ origins: tableOf(origin), logger: silentLogger, profileFindMsMax: 20 })
  const image = identify(await origin.lookup('a'))
  t.equal(await found.find(image), null)
  t.equal(found.counters.refused.unavailable, 1)
  t.equal(found.refusalOf(image), null)
  origin.gate = async () => {}
  t.ok(await found.find(image), 'the next open asks again')
})

t.test('a web server that answers oddly about a profile is refused by the rules of its origin', async t => {
  const directory = t.testdir({ 'a.raw': 'x', [`a.raw${profileSuffix}`]: formatProfileFile(profile) })
  const server = await startHttpOrigin({ directory })
  t.teardown(() => server.close())
  const path = `/a.raw${profileSuffix}`
  const cases: readonly (readonly [Fault, keyof ReturnType<typeof published>['refused']])[] = [
    [{ kind: 'status', status: 404, path }, 'absent'],
    [{ kind: 'status', status: 403, path }, 'denied'],
    [{ kind: 'redirect', location: path, path }, 'unavailable'],
    [{ kind: 'stall-before-headers', path }, 'unavailable'],
    [{ kind: 'html', path }, 'invalid'],
    [{ kind: 'cut', path, method: 'GET' }, 'unavailable'],
  ]
  for (const [fault, reason] of cases) {
    const origin = openOrigin(server.url, { addon: loadAddon() })
    const image = identify(await origin.lookup('a.raw', { signal }))
    const find = async (profileFindMsMax: number) => {
      const found = new PublishedProfiles({ origins: tableOf(origin), logger: silentLogger, profileFindMsMax })
      return { file: await found.find(image), counters: found.counters }
    }
    // All but this one end by themselves.
    const msMax = fault.kind === 'stall-before-headers' ? 100 : patienceMs
    await server.fault(fault)
    t.match(await find(msMax), { file: null, counters: { refused: { [reason]: 1 } } }, JSON.stringify(fault))
    // A host with many cold images: a fault of their profiles is no outage.
    const many = Array.from({ length: 8 }, (_, k) => ({ ...image, id: `${k}` }))
    const found = new PublishedProfiles({ origins: tableOf(origin), logger: silentLogger, profileFindMsMax: msMax })
    await Promise.all(many.map(each => found.find(each)))
    await server.fault(null)
    t.match((await find(patienceMs)).file, profile, 'and found afterwards')
    await origin.close()
  }
})

t.test('few are looked for at once', async t => {
  const origin = publish(formatProfileFile(profile))
  let [now, most] = [0, 0]
  const gates: (() => void)[] = []
  origin.gate = async () => {
    most = Math.max(most, ++now)
    await new Promise<void>(resolve => gates.push(resolve))
    now--
  }
  const found = new PublishedProfiles({ origins: tableOf(origin), logger: silentLogger })
  const image = identify(await origin.lookup('a'))
  const count = profileFindsMax + 1
  const finds = Promise.all(Array.from({ length: count }, (_, k) => found.find({ ...image, id: `${k}` })))
  for (let opened = 0; opened < count; opened++) {
    await until(() => gates.length > 0, patienceMs, 'a read')
    gates.shift()!()
  }
  t.equal((await finds).filter(Boolean).length, count)
  t.equal(most, profileFindsMax)
})

t.test('as many images without a profile are remembered as the limit says', async t => {
  const origin = publish(null)
  const found = new PublishedProfiles({ origins: tableOf(origin), logger: silentLogger })
  const image = identify(await origin.lookup('a'))
  for (let k = 0; k <= profilesMissingMax; k++) await found.find({ ...image, id: `${k}` })
  t.equal(found.refusalOf({ ...image, id: '0' }), null)
  t.equal(found.refusalOf({ ...image, id: '1' }), 'absent')
})

function tableOf(origin: Origin) {
  return { of: () => ({ directory: null, origin, hasProfiles: true }), prefetchRequestsMax: () => 8 }
}
