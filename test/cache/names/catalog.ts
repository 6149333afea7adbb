/**
 * Names and the versions that they mean: asked of the origin when they are not fresh, recorded, and kept over a
 * restart.
 */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { Catalog, type CatalogOptions } from '../../../src/cache/names/catalog.ts'
import { absentMsMax, doubtfulMsMax } from '../../../src/cache/names/limits.ts'
import { openerOfHops } from '../../../src/fleet/wire/wire.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { deferred } from '../../fixtures/deferred.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { MemoryEnvironment } from '../../fixtures/memory-environment.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'
import { seeded } from '../../fixtures/seeded.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const freshMs = 60_000
const health = { readMsMax: 60_000 }

/** A catalog over an index in memory; `more` may be of the next start. */
function world(more: Partial<CatalogOptions> = {}, environment = new MemoryEnvironment(seeded(1))) {
  const origin = new MemoryOrigin()
  origin.put('a', 4096, 1)
  const clock = { nowMs: 0 }
  const logger = keepingLogger()
  const index = new IndexDatabase('in memory', { environment })
  const recordWithin = async (_bytes: number, _isNeeded: boolean, write: () => Promise<void>) => {
    await write()
    return true
  }
  const open = (other: Partial<CatalogOptions> = {}) =>
    new Catalog({
      ...{ index, logger, store: { recordWithin, health }, freshMs: () => freshMs, reservedNodeIds: 100n },
      makeRoom: async () => {},
      now: () => clock.nowMs,
      ...more,
      ...other,
    })
  const catalog = open()
  const lookup = (name = 'a', of = catalog) => of.lookup(origin, name, { signal })
  return { origin, clock, logger, index, open, catalog, lookup }
}

t.test('a name is asked for once while what was said is fresh, by concurrent lookups together', async t => {
  const { origin, clock, lookup } = world()
  const [first, second] = await Promise.all([lookup(), lookup()])
  t.equal(first, second)
  clock.nowMs = freshMs - 1
  t.equal(await lookup(), first)
  t.same(origin.requests, ['lookup a'])
  clock.nowMs = freshMs
  t.equal(await lookup(), first, 'the same version keeps its node')
  t.equal(origin.requests.length, 2)
})

t.test('another version is another image; the one of before is superseded, and stays known by its node', async t => {
  const { origin, clock, index, catalog, lookup } = world()
  const old = await lookup()
  origin.put('a', 4096, 2)
  clock.nowMs = freshMs
  const now = await lookup()
  t.not(now.nodeId, old.nodeId)
  t.same([catalog.superseded(), catalog.isSuperseded(old.image.id), catalog.hasLostName(old)], [[old], true, false])
  t.same([catalog.imageOfNode(old.nodeId), catalog.imageOfName(origin, 'a')], [old, now])
  t.equal(index.name(origin.url, 'a'), now.image.id)
  t.equal(index.images().length, 2)
  origin.put('a', 4096, 1)
  clock.nowMs = 2 * freshMs
  t.equal(await lookup(), old, 'a replica that names it again')
  t.same(catalog.superseded(), [now])
})

t.test('a version that comes while another one is recorded is superseded by that one', async t => {
  const written = deferred()
  let [isHeld, writes] = [false, 0]
  const recordWithin = async (_bytes: number, _isNeeded: boolean, write: () => Promise<void>) => {
    writes++
    if (isHeld) await written.promise
    await write()
    return true
  }
  const { origin, clock, catalog, lookup } = world({ store: { recordWithin, health } })
  const first = await lookup()
  clock.nowMs = freshMs
  origin.put('a', 4096, 2)
  isHeld = true
  writes = 0
  const looking = lookup()
  await until(() => writes > 0, patienceMs, 'a record')
  isHeld = false
  origin.put('a', 4096, 3)
  const third = await catalog.lookup(origin, 'a', { signal, opener: openerOfHops(1) })
  t.same(catalog.superseded(), [first])
  written.resolve()
  const second = await looking
  t.equal(catalog.imageOfName(origin, 'a'), second)
  t.same(catalog.superseded(), [first, third], 'or it would be known, and held, for ever')
})

t.test('after a restart names and nodes are as before, and the origin is asked nothing', async t => {
  const { origin, clock, open, lookup } = world()
  const old = await lookup()
  origin.put('a', 4096, 2)
  clock.nowMs = freshMs
  const now = await lookup()
  const next = open()
  const { length } = origin.requests
  t.same(await lookup('a', next), now)
  t.equal(origin.requests.length, length)
  t.same(next.superseded(), [old])
  t.same(next.known(origin), [{ name: 'a', entry: now }])
  clock.nowMs = 2 * freshMs
  await lookup('a', next)
  t.equal(origin.requests.length, length + 1, 'starting up counted as having asked')
})

t.test('a name that the origin does not have is absent for a moment, and its version without a name', async t => {
  const { origin, clock, index, catalog, lookup } = world()
  const entry = await lookup()
  origin.remove('a')
  clock.nowMs = freshMs
  await t.rejects(lookup(), { code: 'not-found' })
  t.equal(catalog.absentMs(origin, 'a'), absentMsMax)
  t.same([catalog.imageOfName(origin, 'a'), index.name(origin.url, 'a')], [null, null])
  t.same([catalog.superseded(), catalog.hasLostName(entry)], [[entry], true])
  const { length } = origin.requests
  await t.rejects(lookup(), { code: 'not-found' })
  t.equal(origin.requests.length, length)
  origin.put('a', 4096, 1)
  clock.nowMs += absentMsMax
  t.equal(await lookup(), entry)
  t.same(catalog.superseded(), [])
})

t.test('while the origin is away the index answers, and the origin is asked again when that is old', async t => {
  const { origin, clock, logger, lookup } = world()
  const entry = await lookup()
  origin.failure = new CacheError('origin-away', 'gone')
  clock.nowMs = freshMs
  t.equal(await lookup(), entry)
  t.equal(await lookup(), entry)
  t.equal(origin.requests.length, 2)
  t.same(
    logger.lines.map(({ level }) => level),
    ['debug'],
    'that it is away has been said',
  )
  await t.rejects(lookup('b'), { code: 'origin-away' }, 'nothing is known of this one')
  origin.failure = new CacheError('access-denied', '403')
  clock.nowMs = 2 * freshMs
  await t.rejects(lookup(), { code: 'access-denied' }, 'that is an answer')
})

t.test('when a read finds that the image has changed, its name is asked for at the next lookup', async t => {
  const { origin, catalog, lookup } = world()
  const old = await lookup()
  origin.put('a', 4096, 2)
  t.equal(await lookup(), old)
  catalog.imageChanged(old.image)
  t.not(await lookup(), old)
})

t.test('one image more than may be known has another go first; those that are known need no room', async t => {
  let rooms = 0
  const { origin, clock, catalog, lookup } = world({
    knownImagesMax: 2,
    makeRoom: async () => {
      rooms++
      const [oldest] = catalog.byUse()
      if (rooms > 1) throw new CacheError('too-many-images', 'all are in use')
      catalog.letGo(oldest!.entry)
    },
  })
  for (const name of ['b', 'c', 'd']) origin.put(name, 4096, 1)
  await lookup('a')
  await lookup('b')
  clock.nowMs = freshMs
  await lookup('a')
  t.same([rooms, catalog.excess], [0, 0])
  await lookup('c')
  t.same(
    catalog.known(origin).map(({ name }) => name),
    ['a', 'c'],
    'b was not used for longest',
  )
  await t.rejects(lookup('d'), { code: 'too-many-images' })
  t.same([rooms, catalog.size], [2, 2])
})

t.test('an image that is let go is unknown with its name, here and in the index; it can be taken back', async t => {
  const { origin, index, catalog, lookup } = world()
  const entry = await lookup()
  const { recorded, undo } = catalog.letGo(entry)
  await recorded
  t.same([catalog.size, catalog.imageOfNode(entry.nodeId), catalog.imageOfName(origin, 'a')], [0, null, null])
  t.equal(index.name(origin.url, 'a'), null)
  t.notOk(catalog.isRecorded(entry.image), 'its blocks would belong to no image')
  undo()
  t.same([catalog.imageOfNode(entry.nodeId), catalog.imageOfName(origin, 'a')], [entry, entry])
  t.same(catalog.superseded(), [])
  await catalog.catchUp(signal)
  t.equal(index.name(origin.url, 'a'), entry.image.id)
})

t.test('an image goes only when it has its name, and was not used since it was looked at', async t => {
  const { origin, clock, catalog, lookup } = world()
  const { image } = await lookup()
  const seen = [...catalog.byUse()][0]!
  t.ok(catalog.mayLetGo(seen))
  catalog.use(image)
  t.notOk(catalog.mayLetGo(seen))
  const again = [...catalog.byUse()][0]!
  t.ok(catalog.mayLetGo(again))
  t.equal(again.entry.image, image)
  origin.put('a', 4096, 2)
  clock.nowMs = freshMs
  await lookup()
  const old = [...catalog.byUse()].find(({ entry }) => entry.image === image)!
  t.notOk(catalog.mayLetGo(old), 'a superseded version leaves otherwise')
})

t.test('a version that could not be removed is known as before, unless it has come back meanwhile', async t => {
  const { catalog, lookup } = world()
  const entry = await lookup()
  catalog.forget(entry)
  t.equal(catalog.imageOfNode(entry.nodeId), null)
  catalog.reinstate(entry)
  t.equal(catalog.imageOfNode(entry.nodeId), entry)
  t.same(catalog.superseded(), [entry])
  const { nodeId } = entry
  const other = { ...entry, nodeId: nodeId + 1n }
  catalog.reinstate(other)
  t.equal(catalog.imageOfNode(nodeId + 1n), null)
})

t.test('what finds no room in the index is known all the same, and written when there is room', async t => {
  let hasRoom = false
  const recordWithin = async (_bytes: number, _isNeeded: boolean, write: () => Promise<void>) => {
    if (hasRoom) await write()
    return hasRoom
  }
  const { origin, index, catalog, lookup } = world({ store: { recordWithin, health } })
  const entry = await lookup()
  t.notOk(catalog.isRecorded(entry.image), 'blocks of it would be lost at the next start')
  await catalog.catchUp(signal)
  t.same(index.images(), [])
  hasRoom = true
  await catalog.catchUp(signal)
  t.ok(catalog.isRecorded(entry.image))
  t.same([index.images(), index.name(origin.url, 'a')], [[entry], entry.image.id])
})

t.test('a name that is missing in a listing is asked for before it is believed to be gone', async t => {
  const { origin, clock, catalog, lookup } = world()
  origin.put('b', 4096, 1)
  for (const name of ['a', 'b']) await lookup(name)
  t.same(await catalog.list(origin, { signal }), ['a', 'b'])
  origin.remove('a')
  clock.nowMs = freshMs
  t.same(await catalog.list(origin, { signal }), ['b'])
  t.equal(catalog.imageOfName(origin, 'a')?.image.key, 'a')
  await catalog.catchUp(signal)
  t.equal(catalog.imageOfName(origin, 'a'), null)
  t.equal(origin.requests.at(-1), 'lookup a')
})

t.test('a member tells a version where the origin is away; the origin is asked as soon as it answers', async t => {
  const { origin, clock, index, catalog, open, lookup } = world()
  origin.toldBy = 'm2'
  const told = await lookup()
  t.same([catalog.toldBy(told.image), catalog.heardOf(told.image)], ['m2', null], 'a rumour is not passed on')
  t.equal(index.name(origin.url, 'a'), told.image.id)
  t.notMatch(told.image, { toldBy: 'm2' })
  origin.failure = new CacheError('origin-away', 'not yet')
  await catalog.catchUp(signal)
  t.equal(catalog.toldBy(told.image), 'm2')
  origin.failure = null
  origin.toldBy = null
  clock.nowMs = doubtfulMsMax
  await catalog.catchUp(signal)
  t.same([catalog.toldBy(told.image), catalog.imageOfName(origin, 'a')], [null, told])
  t.match(catalog.heardOf(told.image), { image: told.image, ageMs: 0, isFresh: true })
  clock.nowMs += freshMs
  t.match(catalog.heardOf(told.image), { ageMs: freshMs, isFresh: false })
  const { length } = origin.requests
  await catalog.catchUp(signal)
  t.equal(origin.requests.length, length, 'it is asked once')
  t.match(open().heardOf(told.image), { ageMs: null, isFresh: false }, 'by an earlier run')
})

t.test('another version of the origin takes the place of the one that was told', async t => {
  const { origin, catalog, lookup } = world()
  origin.toldBy = 'm2'
  const told = await lookup()
  origin.toldBy = null
  origin.put('a', 4096, 2)
  await catalog.catchUp(signal)
  const now = catalog.imageOfName(origin, 'a')!
  t.not(now.image.id, told.image.id)
  t.same([catalog.superseded(), catalog.toldBy(now.image), catalog.toldBy(told.image)], [[told], null, null])
  origin.remove('a')
  origin.put('b', 4096, 3)
  origin.toldBy = 'm2'
  await lookup('b')
  origin.toldBy = null
  origin.remove('b')
  await catalog.catchUp(signal)
  t.equal(catalog.imageOfName(origin, 'b'), null, 'it denies the name')
})

t.test('the index comes before members: a known name keeps its version while the origin is away', async t => {
  const { origin, clock, catalog, lookup } = world()
  const known = await lookup()
  origin.put('a', 4096, 2)
  origin.toldBy = 'm2'
  clock.nowMs = freshMs
  t.equal(await lookup(), known)
  t.same([catalog.toldBy(known.image), catalog.superseded()], [null, []])
})

t.test('a version that is told while the origin names another one is that one', async t => {
  const { origin, catalog, index } = world()
  origin.toldBy = 'm2'
  const telling = catalog.lookup(origin, 'a', { signal })
  origin.toldBy = null
  origin.put('a', 4096, 2)
  const [own, told] = await Promise.all([catalog.lookup(origin, 'a', { signal, opener: openerOfHops(0) }), telling])
  t.equal(own.image.validator, 'seed 2')
  t.equal(catalog.imageOfName(origin, 'a')?.image.id, own.image.id)
  t.equal(index.name(origin.url, 'a'), own.image.id)
  t.ok([own.image.validator, 'seed 1'].includes(told.image.validator))
})
