/** The origins that a cache shows: found by directory, by image and by URL, each with settings of its own. */

import t from 'tap'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { CacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { type MountedOrigin, OriginTable } from '../../../src/cache/fetch/origin-table.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

const [one, two] = [new MemoryOrigin('memory://one'), new MemoryOrigin('memory://two')]
const imageOf = (origin: string) => identify({ origin, key: 'a', sizeBytes: 1, validator: '1', modifiedMs: 0 })

function table(more: Partial<MountedOrigin> = {}): OriginTable {
  return new OriginTable(
    [
      { directory: 'one', origin: one },
      { directory: 'two', origin: two, ...more },
    ],
    60,
    () => 0,
  )
}

t.test('an origin is found by its directory and by its images; others are told apart from none', async t => {
  const origins = table()
  t.same(origins.directories, ['one', 'two'])
  t.equal(origins.in('two'), two)
  t.throws(() => origins.in('three'), { code: 'not-found' })
  t.throws(() => origins.in(null), { code: 'not-found' }, 'nothing is shown in the root')
  t.equal(origins.of(imageOf('memory://two')).origin, two)
  t.throws(() => origins.of(imageOf('memory://three')), { code: 'not-found' })
  t.same(
    ['memory://two', 'memory://three'].map(url => origins.directoryOf(imageOf(url))),
    ['two', null],
  )
})

t.test('a single origin is shown in the root', async t => {
  const origins = new OriginTable([{ directory: null, origin: one }], 60, () => 0)
  t.equal(origins.directories, null)
  t.equal(origins.in(null), one)
  t.equal(origins.directoryOf(imageOf('memory://one')), null)
})

t.test('settings are changed in place, and origins come and go', async t => {
  const origins = table()
  const { all } = origins
  const before = [...all]
  const third = { directory: 'three', origin: new MemoryOrigin('memory://three') }
  const changed = origins.change([{ ...before[0]!, revalidateSeconds: 1 }, before[1]!, third])
  t.same(changed, { came: [third], went: [] })
  t.equal(origins.all, all, 'the holder of the array sees them')
  t.equal(all.length, 3)
  t.equal(origins.freshMs(one), 1000)
  t.equal(origins.in('three'), third.origin)
  // One that is leaving is not shown, and serves what is open of it.
  origins.leaving.add(third.origin.url)
  t.throws(() => origins.in('three'), { code: 'not-found' })
  t.notOk(origins.directories?.includes('three'))
  t.equal(all.length, 3)
  t.same(origins.change(before), { came: [], went: [third] })
  t.equal(all.length, 2)
})

t.test('names are fresh for as long as the origin says, or all of them', async t => {
  const origins = table({ revalidateSeconds: 5 })
  t.same(
    ['one', 'two', 'three'].map(name => origins.freshMs({ url: `memory://${name}` })),
    [60_000, 5000, 60_000],
  )
})

t.test('the path to an origin is one for all its images', async t => {
  const origins = table()
  const link = origins.pathOf(imageOf('memory://one'))
  t.equal(origins.pathOf({ ...imageOf('memory://one'), key: 'b' }), link)
  t.not(origins.pathOf(imageOf('memory://two')), link)
})

t.test('nothing is fetched ahead of an origin that is not well, or that is not mounted', async t => {
  const availability = {
    state: 'available' as 'available' | 'away',
    ageMs: 0,
    error: () => new CacheError('origin-away', ''),
  }
  const patience = { missMs: 1, onOutage: 'fail' as const, availability }
  const origins = table({ patience, prefetchRequestsMax: 3 })
  const turns = (name: string) => origins.prefetchRequestsMax(imageOf(`memory://${name}`))
  t.same(['one', 'two', 'three'].map(turns), [8, 3, 0])
  availability.state = 'away'
  t.same(['one', 'two', 'three'].map(turns), [8, 0, 0])
})

t.test('each reader has a time of its own, or waits for as long as it likes', async t => {
  const availability = { state: 'available' as const, ageMs: 0, error: () => new CacheError('origin-away', '') }
  const origins = table({ patience: { missMs: 1, onOutage: 'fail', availability } })
  t.equal(origins.missTimeoutFor(imageOf('memory://one')), null)
  const first = origins.missTimeoutFor(imageOf('memory://two'))!
  t.not(origins.missTimeoutFor(imageOf('memory://two')), first)
  const hanging = (own: CancelSignal) =>
    new Promise<never>((_, reject) => own.addEventListener('abort', () => reject(new CacheError('aborted', 'left'))))
  await t.rejects(first.run(signal, hanging), { code: 'origin-timeout' })
})
