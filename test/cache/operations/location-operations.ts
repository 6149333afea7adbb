/** Locations for operators: the origin comes first, and says when it has not named the version itself. */
import t from 'tap'
import {
  LocationOperations,
  type LocationOperationsContext,
} from '../../../src/cache/operations/location-operations.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

function setUp({ locations = ['origin', 'mirror'], toldBy = null as string | null, hasPlaces = true } = {}) {
  const origin = new MemoryOrigin()
  const places = { locationsOf: async () => locations.map(url => ({ url, reason: null })) }
  return new LocationOperations({
    origins: [{ origin, places: hasPlaces ? places : null }],
    names: { find: async () => ({ origin, own: 'a', entry: { image: { key: 'a' } } }) },
    catalog: { toldBy: () => toldBy },
    store: { blockBytes: 65_536 },
  } as unknown as LocationOperationsContext)
}

t.test('an origin that has named the version itself has no reason; one that has not says who told it', async t => {
  t.match(await setUp().list('a', signal), [
    { url: 'origin', reason: null },
    { url: 'mirror', reason: null },
  ])
  t.match(await setUp({ toldBy: 'h2' }).list('a', signal), [
    { url: 'origin', reason: 'has not named this version yet: h2 has told it' },
    { url: 'mirror', reason: null },
  ])
  t.same(await setUp({ locations: [] }).list('a', signal), [])
  t.same(await setUp({ locations: [], toldBy: 'h2' }).list('a', signal), [])
})

t.test('an origin without locations is refused', async t => {
  await t.rejects(setUp({ hasPlaces: false }).list('a', signal), { code: 'invalid-argument', message: /no locations/ })
})
