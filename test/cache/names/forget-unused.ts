import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { forgottenAtOnceMax, forgottenPerTurnMax, knownImagesMax } from '../../../src/cache/names/limits.ts'
import { errnoOf } from '../../../src/fuse/filesystem/errno.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { openRooms, type Rooms, type RoomsOptions, forever as signal } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const sizeBytes = 100

/** A cache that knows so many images at most, over an origin of many; nothing is held. */
async function world(t: Test, imagesMax: number, more: Partial<RoomsOptions> = {}) {
  const clock = { nowMs: 0 }
  /** Nodes that the kernel knows, and of those it needs. */
  const known = new Set<bigint>()
  const needed = new Set<bigint>()
  const knows = async (nodeId: bigint, lost: unknown) => {
    const isKnown = known.has(nodeId)
    if (lost && !needed.has(nodeId)) known.delete(nodeId)
    return isKnown
  }
  const origin = new MemoryOrigin()
  const logger = keepingLogger()
  // Not testdir(): it goes before the teardown below.
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-forgetter-'))
  const options = {
    directory,
    origin,
    knownImages: { imagesMax, atOnce: 1 },
    acquaintance: { knows },
    now: () => clock.nowMs,
    logger,
    ...more,
  }
  const rooms = await openRooms(options)
  t.teardown(async () => {
    await rooms.close()
    rmSync(directory, { recursive: true })
  })
  return { clock, known, needed, origin, options, rooms, logger }
}

const lookUp = ({ cache }: Rooms, name: string) => cache.lookup(null, name, { signal })

async function lookUpAll(rooms: Rooms, origin: MemoryOrigin, names: readonly string[]) {
  const entries = []
  for (const name of names) {
    origin.put(name, sizeBytes)
    entries.push(await lookUp(rooms, name))
  }
  return entries
}

const namesOf = ({ cache }: Rooms) => cache.images().map(({ name }) => name)

t.test('of more images than the limit the one unused for longest goes: record, name, node', async t => {
  const { origin, rooms, options } = await world(t, 3)
  const [a, b] = await lookUpAll(rooms, origin, ['a', 'b', 'c'])
  t.match(rooms.cache.counters.knownImages, { known: 3, forgotten: 0, refused: 0 })
  t.same(await lookUp(rooms, 'a'), a, 'used again')
  await lookUpAll(rooms, origin, ['d'])
  t.same(namesOf(rooms), ['a', 'c', 'd'])
  t.equal(rooms.cache.imageOf(b!.nodeId), null)
  t.equal(rooms.index.name(origin.url, 'b'), null)
  t.same(rooms.index.images().length, 3)
  t.match(rooms.cache.counters.knownImages, { known: 3, forgotten: 1, refused: 0 })
  t.same(await lookUp(rooms, 'b'), b, 'the same when it comes back')
  await rooms.close()
  const next = await openRooms({ ...options, knownImages: { imagesMax: 1, atOnce: 1 } })
  t.same(namesOf(next), ['a', 'b', 'd'])
  next.cache.startBackground()
  await until(() => namesOf(next).length === 1, patienceMs, 'what an earlier limit allowed to go')
  await next.close()
})

t.test(
  'nothing goes that is open, read, held, pinned or needed by the kernel: then lookups fail with ENFILE',
  async t => {
    const { clock, known, needed, origin, rooms } = await world(t, 4)
    const [open, held, , cached] = await lookUpAll(rooms, origin, ['open', 'held', 'pinned', 'cached'])
    await rooms.cache.open(open!.image)
    await rooms.cache.read(held!.image, 0, sizeBytes, { signal })
    await until(() => rooms.cache.residence(held!.image).complete, patienceMs, 'the promotion')
    await rooms.cache.operations.pin('pinned')
    known.add(cached!.nodeId)
    needed.add(cached!.nodeId)
    origin.put('more', sizeBytes)
    const error = await lookUp(rooms, 'more').catch(thrown => thrown)
    t.equal(error.code, 'too-many-images')
    t.equal(errnoOf(error), 23)
    t.same(namesOf(rooms), ['cached', 'held', 'open', 'pinned'])
    needed.delete(cached!.nodeId)
    await t.rejects(lookUp(rooms, 'more'), { code: 'too-many-images' }, 'not tried again at once')
    t.ok(known.has(cached!.nodeId))
    t.equal(rooms.cache.counters.knownImages.refused, 2)
    clock.nowMs += 1000
    await lookUp(rooms, 'more')
    t.same(namesOf(rooms), ['held', 'more', 'open', 'pinned'], 'the kernel has let it go when it was asked to')
    t.match(rooms.cache.counters.knownImages, { known: 4, forgotten: 1 })
  },
)

t.test('an image that is used while the kernel is asked stays', async t => {
  let asked = () => {}
  const knows = async (nodeId: bigint) => {
    if (nodeId === first) asked()
    return false
  }
  const { origin, rooms } = await world(t, 2, { acquaintance: { knows } })
  const [a, b] = await lookUpAll(rooms, origin, ['a', 'b'])
  const first = a!.nodeId
  asked = () => void lookUp(rooms, 'a')
  await lookUpAll(rooms, origin, ['c'])
  t.same(rooms.cache.imageOf(first), a)
  t.equal(rooms.cache.imageOf(b!.nodeId), null)
})

t.test('images go in turns of the event loop, so many in each', async t => {
  const count = 60
  const perTurn = 5
  const knownImages = { imagesMax: count, atOnce: 20, perTurn, looksPerTurn: 10 }
  const { origin, rooms } = await world(t, count, { knownImages })
  const { removeImage: retire } = rooms.store
  let [turn, inTurn, most, turns] = [0, 0, 0, 0]
  rooms.store.removeImage = imageId => {
    if (inTurn++ === 0) turns++
    most = Math.max(most, inTurn)
    return retire.call(rooms.store, imageId)
  }
  let isOver = false
  const counting = (async () => {
    for (; !isOver; turn++) {
      await nextTurn()
      inTurn = 0
    }
  })()
  const names = Array.from({ length: count }, (_, k) => `image ${k}`)
  await Promise.all(names.map(name => lookUpAll(rooms, origin, [name])))
  const before = turn
  await Promise.all(['x', 'y', 'z'].map(name => lookUpAll(rooms, origin, [name])))
  isOver = true
  await counting
  t.equal(rooms.cache.counters.knownImages.forgotten, 20)
  t.equal(most, perTurn)
  t.equal(turns, 20 / perTurn)
  t.ok(turn - before >= turns)
  t.ok(forgottenPerTurnMax <= 16 && forgottenAtOnceMax < knownImagesMax)
})

t.test('a failure to forget leaves all as it was, and is said once', async t => {
  const { clock, origin, rooms, logger } = await world(t, 2)
  const [a] = await lookUpAll(rooms, origin, ['a', 'b'])
  const { removeImage } = rooms.index
  const lines = () => logger.lines.filter(({ level }) => level === 'warn').length
  const fail = async (expected: number, name = 'c') => {
    rooms.index.removeImage = () => Promise.reject(new CacheError('index-failed', 'no'))
    origin.put(name, sizeBytes)
    await t.rejects(lookUp(rooms, name), { code: 'too-many-images' })
    t.equal(lines(), expected)
    clock.nowMs += 1000
  }
  await fail(1)
  t.same(rooms.cache.imageOf(a!.nodeId), a)
  t.same(namesOf(rooms), ['a', 'b'])
  await until(() => rooms.index.name(origin.url, 'a') === a!.image.id, patienceMs, 'its name in the index')
  await fail(1)
  await fail(1)
  rooms.index.removeImage = removeImage
  await lookUpAll(rooms, origin, ['c'])
  t.equal(rooms.cache.counters.knownImages.known, 2)
  await fail(2, 'd')
})
