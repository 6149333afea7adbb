/** Origins that leave a running mount: whose word begins it, what the supervisor hears, and what may not leave. */
import t from 'tap'
import type { OriginRemovals } from '../../../src/cache/origin-removal.ts'
import { originSchema } from '../../../src/daemon/config/origin-settings.ts'
import { LeavingOrigins, type OriginDeparture } from '../../../src/daemon/worker/leaving-origins.ts'

const quiet = { signal: new AbortController().signal, onProgress: () => {} }
const emptied = { images: 1, objects: 2, bytes: 3, held: [] }

const placeOf = (directory: string | null, url: string) => {
  return { directory, settings: originSchema.parse({ url }), readAround: 'fast' as const }
}

const ofUrls = {
  near: placeOf('near', 'http://near/'),
  far: placeOf('far', 'http://FAR'),
  third: placeOf('third', 'file:///parents'),
}

function setUp(places = Object.values(ofUrls)) {
  const [log, told, dropped] = [[] as string[], [] as OriginDeparture[], [] as string[]]
  const removals = {
    urls: [] as string[],
    onRemoved: async (_url: string) => {},
    begin: (url: string) => {
      log.push(`begin ${url}`)
      if (!removals.urls.includes(url)) removals.urls.push(url)
    },
    cancel: async (url: string) => {
      log.push(`cancel ${url}`)
      removals.urls = removals.urls.filter(each => each !== url)
    },
    wait: async (url: string) => {
      log.push(`wait ${url}`)
      return emptied
    },
    holding: async (urls: ReadonlySet<string>, work: () => Promise<unknown>) => {
      log.push(`hold ${[...urls].join(' ')}`)
      return await work()
    },
  }
  const state = { places }
  const leaving = new LeavingOrigins(
    removals as unknown as OriginRemovals,
    () => state.places,
    directory => void dropped.push(directory),
  )
  const start = (directories: readonly string[] = []) =>
    leaving.start(directories, async departure => {
      log.push(`tell ${departure.type} ${departure.directory}`)
      told.push(departure)
    })
  return { log, told, dropped, removals, state, leaving, start }
}

t.test('an origin is named by its directory or its URL, as it is configured or as it is shown', async t => {
  for (const [named, url] of [
    ['near', 'http://near/'],
    ['http://near/', 'http://near/'],
    ['far', 'http://far/'],
    ['http://FAR', 'http://far/'],
    ['http://far/', 'http://far/'],
  ] as const) {
    const { log, told, leaving, start } = setUp()
    start()
    t.same(await leaving.remove(named, quiet), emptied)
    t.same(log.slice(1), [`begin ${url}`, `wait ${url}`], named)
    t.same(told, [{ type: 'origin-leaving', directory: url === 'http://near/' ? 'near' : 'far' }])
    t.match(log[0], /^tell /, 'the supervisor knows first: the next worker goes on')
  }
})

t.test('one that is not there, the only one, and the last one that stays are refused', async t => {
  const { log, removals, leaving, start } = setUp()
  start()
  const message = /there is no origin "nobody": there is near, far, third/
  await t.rejects(leaving.remove('nobody', quiet), { code: 'not-found', message })
  removals.urls = ['http://far/', 'file:///parents']
  await t.rejects(leaving.remove('near', quiet), { code: 'invalid-argument', message: /only origin/ })
  t.same(log, [])
  const { leaving: single, start: begin } = setUp([placeOf(null, 'http://near/')])
  begin()
  await t.rejects(single.remove('http://near/', quiet), { code: 'invalid-argument', message: /only origin/ })
})

t.test('what an earlier worker began goes on; a directory that is not there any more does not', async t => {
  const { log, told, start } = setUp()
  start(['far', 'gone'])
  t.same(log, ['begin http://far/'])
  t.same(told, [], 'the supervisor knows')
})

t.test('an origin of which nothing is left is dropped, then the supervisor hears of it', async t => {
  const { told, dropped, removals, start } = setUp()
  start()
  await removals.onRemoved('http://far/')
  t.same([dropped, told], [['far'], [{ type: 'origin-removed', directory: 'far' }]])
  await removals.onRemoved('http://gone/')
  t.equal(dropped.length, 1)
})

t.test('a reload begins with those that are gone and calls back those that are wanted again', async t => {
  const { log, removals, leaving, start } = setUp()
  start()
  removals.urls = ['http://near/', 'http://elsewhere/']
  await leaving.change(['far', 'unknown'], [ofUrls.near, ofUrls.third])
  t.same(log, ['cancel http://near/', 'tell origin-leaving far', 'begin http://far/'])
  await leaving.holding([ofUrls.far], async () => 0)
  t.equal(log.at(-1), 'hold http://far/')
})

t.test('one origin under two names has to leave under the first', async t => {
  const { leaving } = setUp()
  leaving.mustBeOnce(Object.values(ofUrls))
  const twice = [ofUrls.near, placeOf('other', 'http://near/')]
  t.throws(() => leaving.mustBeOnce(twice), { code: 'invalid-argument', message: /still leaving as near/ })
})
