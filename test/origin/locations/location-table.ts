/** Told places of an image: asked for again by the clock while the image is read, and replaced by what is told then. */
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { toldRefreshMs } from '../../../src/origin/locations/limits.ts'
import { Location } from '../../../src/origin/locations/location.ts'
import { LocationTable, type ToldPlace } from '../../../src/origin/locations/location-table.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { seeded } from '../../fixtures/seeded.ts'
import { until } from '../../fixtures/until.ts'

const sizeBytes = 2 ** 20
const patienceMs = 60_000

/** A service that tells of places, by a clock of the test. */
async function telling(t: Test) {
  const clock = { nowMs: 0 }
  const now = () => clock.nowMs
  const originAt = (url: string) => {
    const origin = new MemoryOrigin(url)
    origin.put('a', sizeBytes)
    return origin
  }
  const primary = originAt('memory://primary')
  const image = identify(await primary.lookup('a'))
  const origins = { one: originAt('memory://one'), two: originAt('memory://two') }
  const at = { one: new Location(origins.one, now), two: new Location(origins.two, now) }
  const tell = (name: 'one' | 'two'): ToldPlace => {
    return { url: `memory://${name}/a`, at: { location: at[name], key: 'a' }, isOrigins: false, reason: '' }
  }
  const state = { asked: 0, told: [tell('one')], failure: null as CacheError | null, gate: Promise.resolve() }
  const table = new LocationTable({
    ...{ primary: new Location(primary, now), others: [], logger: silentLogger, now, random: seeded(7) },
    told: {
      placesOf: async () => {
        state.asked++
        await state.gate
        if (state.failure) throw state.failure
        return state.told
      },
      close: async () => {},
    },
    onChange: () => {},
  })
  t.teardown(() => table.close())
  const urls = () => table.placesOf(image).map(({ url }) => url)
  /** It is read, and all that begins with that is over. */
  const read = async () => {
    table.lookAround(image)
    for (let turns = 0; turns < 5; turns++) await new Promise(resolve => setImmediate(resolve))
    await until(() => table.placesOf(image).every(({ working }) => working === null), patienceMs, 'comparisons')
  }
  return { clock, state, table, image, origins, tell, urls, read }
}

t.test('the service is asked at the first read, and again by the clock while the image is read', async t => {
  const { clock, state, read, urls } = await telling(t)
  await read()
  await read()
  t.same([state.asked, urls()], [1, ['memory://one/a']])
  clock.nowMs = toldRefreshMs
  await read()
  t.equal(state.asked, 1, 'not before its time')
  clock.nowMs++
  t.equal(state.asked, 1, 'an image that is not read is not asked for')
  await read()
  t.equal(state.asked, 2)
  clock.nowMs += toldRefreshMs
  await read()
  t.equal(state.asked, 2)
})

t.test('a place that is told again stays as it was compared; others come and go', async t => {
  const { clock, state, table, image, origins, tell, urls, read } = await telling(t)
  await read()
  const [one] = table.placesOf(image)
  t.ok(one?.image, 'it was compared')
  const lookups = () => origins.one.requests.filter(request => request.startsWith('lookup')).length
  const before = lookups()
  state.told = [tell('two'), tell('one')]
  clock.nowMs += toldRefreshMs + 1
  await read()
  t.same(urls(), ['memory://two/a', 'memory://one/a'])
  t.equal(table.placesOf(image)[1], one)
  t.equal(lookups(), before, 'nothing is compared again')
  t.ok(table.placesOf(image)[0]?.image, 'the other one is, within the same turn')
  state.told = [{ url: 'rbd://f/p/i/s', at: null, isOrigins: false, reason: 'no web server' }]
  clock.nowMs += toldRefreshMs + 1
  await read()
  t.same([urls(), table.unusableOf(image).map(({ url }) => url)], [[], ['rbd://f/p/i/s']])
})

t.test('a service that does not answer leaves the places, and is asked again in its time', async t => {
  const { clock, state, table, image, urls, read } = await telling(t)
  await read()
  state.failure = new CacheError('origin-timeout', 'no answer')
  clock.nowMs += toldRefreshMs + 1
  await read()
  t.same([state.asked, urls()], [2, ['memory://one/a']])
  await read()
  t.equal(state.asked, 2)
  state.failure = null
  state.told = []
  clock.nowMs += toldRefreshMs + 1
  await read()
  t.same([state.asked, urls()], [3, []])
  state.told = [{ url: 'memory://primary/a', at: null, isOrigins: true, reason: '' }]
  await table.refreshed(image)
  t.equal(state.asked, 4, 'an operator need not wait')
  t.equal(table.unusableOf(image).length, 1)
})

t.test('one question at a time, however late its answer', async t => {
  const { clock, state, table, image, urls } = await telling(t)
  let answer = () => {}
  state.gate = new Promise(resolve => {
    answer = resolve
  })
  for (let k = 0; k < 3; k++) {
    table.lookAround(image)
    clock.nowMs += toldRefreshMs + 1
  }
  t.equal(state.asked, 1)
  answer()
  await until(() => urls().length === 1, patienceMs, 'the answer')
  table.lookAround(image)
  t.equal(state.asked, 2)
})
