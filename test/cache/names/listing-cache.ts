/**
 * Listings: asked for once, kept whole or cut at a limit, recorded in pieces.
 */
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { IndexWriteQueue } from '../../../src/cache/names/index-write-queue.ts'
import { ListingCache, type ListingCacheOptions } from '../../../src/cache/names/listing-cache.ts'
import { listingChunkNames } from '../../../src/index/format/listing-chunks.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import type { Origin } from '../../../src/origin/contract/origin.ts'

const signal = new AbortController().signal

/** An origin that lists what it is told, and counts how often. */
function lister(url = 'http://host/') {
  const said = { names: [] as string[], requests: 0 }
  const list = async () => {
    said.requests++
    return said.names
  }
  return { said, origin: { url, list } as Partial<Origin> as Origin }
}

function listingsOn(index: IndexDatabase, options: Partial<ListingCacheOptions> = {}) {
  const recordWithin = async (_bytes: number, _isNeeded: boolean, write: () => Promise<void>) => {
    await write()
    return true
  }
  const vanished: string[] = []
  const listings = new ListingCache({
    index,
    recorder: new IndexWriteQueue({ recordWithin, health: { readMsMax: 60_000 } }, silentLogger),
    logger: silentLogger,
    isFresh: () => false,
    known: () => new Map(),
    onVanished: (_origin, name) => vanished.push(name),
    now: () => 0,
    ...options,
  })
  return { listings, vanished }
}

const namesOf = (count: number) => Array.from({ length: count }, (_, k) => `image-${k}`)

t.test('a listing of any length is recorded whole, and one takes the place of another', async t => {
  const directory = t.testdir()
  const { origin, said } = lister()
  const { origin: neighbour, said: neighbourSaid } = lister('http://neighbour/')
  neighbourSaid.names = namesOf(listingChunkNames + 5)
  const pieces = [1, listingChunkNames, listingChunkNames + 1, 3 * listingChunkNames + 7, listingChunkNames + 1, 2, 0]
  for (const count of pieces) {
    said.names = namesOf(count)
    const index = new IndexDatabase(directory)
    const { listings } = listingsOn(index)
    t.same(await listings.list(origin, { signal }), said.names)
    await listings.list(neighbour, { signal })
    await index.close()
    const later = new IndexDatabase(directory)
    t.same(await later.listing(origin.url), said.names, `${count} names`)
    t.equal((await later.listing(neighbour.url))?.length, neighbourSaid.names.length, 'the neighbour keeps its own')
    const { listings: second } = listingsOn(later, { isFresh: () => true })
    const requests = said.requests
    t.same(await second.list(origin, { signal }), said.names)
    t.equal(said.requests, requests, 'nothing is asked for again')
    await later.close()
  }
})

t.test('a listing of which a piece is missing counts as none', async t => {
  const { MemoryEnvironment } = await import('../../fixtures/memory-environment.ts')
  const environment = new MemoryEnvironment(() => 0)
  const index = new IndexDatabase('memory', { environment })
  await index.putListing('http://host/', namesOf(2 * listingChunkNames))
  t.equal((await index.listing('http://host/'))?.length, 2 * listingChunkNames)
  const keys = [...environment.content.listings.values()].map(({ key }) => key)
  await environment.transaction(() => void environment.databases.listings.remove(keys.at(-1)!))
  t.equal(await index.listing('http://host/'), null)
})

t.test('more names than are shown are cut, counted and said', async t => {
  const index = new IndexDatabase(t.testdir())
  const { origin, said } = lister()
  const lines: object[] = []
  const logger = { ...silentLogger, warn: (facts: object) => void lines.push(facts) }
  const { listings } = listingsOn(index, { namesMax: 10, logger })
  said.names = namesOf(10)
  t.equal((await listings.list(origin, { signal })).length, 10)
  t.equal(listings.cut, 0)
  said.names = namesOf(11)
  t.same(await listings.list(origin, { signal }), namesOf(10))
  t.equal(listings.cut, 1)
  t.same(lines, [{ origin: origin.url, shown: 10 }])
  await index.close()
})

t.test('names that mean something and went from a listing are told', async t => {
  const index = new IndexDatabase(t.testdir())
  const { origin, said } = lister()
  const { listings, vanished } = listingsOn(index, {
    known: () => new Map(['a', 'b', 'never listed'].map(name => [name, {}])),
  })
  for (const names of [['a', 'b', 'c'], ['b', 'd'], ['a', 'b'], []]) {
    said.names = names
    await listings.list(origin, { signal })
  }
  t.same(vanished, ['a', 'a', 'b'])
  await index.close()
})

t.test(
  'names that have not changed are the same array, and of more than the limit the oldest listing goes',
  async t => {
    const index = new IndexDatabase(t.testdir())
    const origins = ['a', 'b', 'c'].map(name => lister(`http://${name}/`))
    for (const { said } of origins) said.names = namesOf(10)
    const loads: string[] = []
    const counting = {
      listing: (url: string) => {
        loads.push(url)
        return index.listing(url)
      },
      putListing: index.putListing.bind(index),
    }
    const { listings } = listingsOn(index, { index: counting, isFresh: () => true, rememberedNamesMax: 20 })
    const list = (k: number) => listings.list(origins[k]!.origin, { signal })
    const first = await list(0)
    t.equal(await list(0), first)
    await list(1)
    await list(0)
    t.equal(loads.length, 2)
    await list(2)
    t.equal(loads.length, 3)
    t.equal(await list(0), first, 'asked for lately')
    t.equal(loads.length, 3)
    t.same(await list(1), namesOf(10), 'from the index again')
    t.same(loads.slice(3), ['http://b/'])
    t.equal(origins[1]!.said.requests, 1)
    const stale = listingsOn(index, { isFresh: () => false }).listings
    const before = await stale.list(origins[0]!.origin, { signal })
    t.equal(await stale.list(origins[0]!.origin, { signal }), before, 'asked for anew, and the same')
    await index.close()
  },
)
