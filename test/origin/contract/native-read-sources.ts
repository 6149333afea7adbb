/** Readers for session threads: followers hear each change, and nothing twice. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import type { OriginReader } from '../../../src/native/origin-reader.ts'
import { NativeReadSources, type ReaderPermits, ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { freeGrant } from '../../fixtures/free-grant.ts'

const reader = () => ({}) as OriginReader
const [one, other] = [reader(), reader()]

const image = identify({ origin: 'http://a/', key: 'a', sizeBytes: 1, validator: '"v"', modifiedMs: 0 })

/** Sources with an origin that has been opened. */
function opened(max: number) {
  const [sources, table] = [new NativeReadSources(), new ReaderTable(max, freeGrant)]
  sources.replace(table)
  return { sources, table }
}

function following(sources: NativeReadSources, imageId: string) {
  const heard: (OriginReader | null)[] = []
  sources.follow({ id: imageId, sizeBytes: 1 }, next => heard.push(next))
  return heard
}

const range = (length: number) => ({ offset: 0, length })

/** The same objects in the same order: readers are opaque, and all alike. */
function isHeard(heard: readonly (OriginReader | null)[], ...expected: readonly (OriginReader | null)[]): boolean {
  return heard.length === expected.length && heard.every((each, k) => each === expected[k])
}

t.test('a follower has the reader of its image, whichever comes first', async t => {
  const { sources, table } = opened(2)
  const early = following(sources, 'a')
  t.ok(isHeard(early), 'nothing is said of an image that is not open at its origin')
  table.set('a', one)
  table.set('a', one)
  table.set('b', other)
  t.ok(isHeard(early, one))
  t.ok(isHeard(following(sources, 'b'), other))
  table.set('a', other)
  t.ok(isHeard(early, one, other), 'an image that was opened anew')
})

t.test('a follower that ends loses its reader, and hears nothing more', async t => {
  const { sources, table } = opened(2)
  const [had, none] = [following(sources, 'a'), following(sources, 'b')]
  table.set('a', one)
  for (const imageId of ['a', 'a', 'b', 'c']) sources.unfollow(imageId)
  table.set('a', other)
  table.set('b', other)
  t.ok(isHeard(had, one, null))
  t.ok(isHeard(none))
  t.ok(isHeard(following(sources, 'a'), other), 'the next open has it')
})

t.test('there is no reader while the origin is away', async t => {
  const { sources, table } = opened(2)
  const heard = following(sources, 'a')
  table.set('a', one)
  for (const isAway of [true, true, false, true]) sources.setAway(isAway)
  t.ok(isHeard(heard, one, null, one, null))
  const late = following(sources, 'b')
  table.set('b', other)
  table.set('a', other)
  sources.unfollow('a')
  t.ok(isHeard(late))
  sources.setAway(false)
  t.ok(isHeard(late, other))
  t.ok(isHeard(heard, one, null, one, null))
})

t.test('while other hosts take part in reads there is the permitted part of a reader, or none', async t => {
  const { sources, table } = opened(2)
  const [heard, refused] = [following(sources, 'a'), following(sources, 'b')]
  const part = reader()
  const said: unknown[] = []
  const permits: ReaderPermits = {
    guard: ({ id }, of) => {
      said.push(['guard', id, of === one || of === other])
      return id === 'a' ? part : null
    },
    release: imageId => void said.push(['release', imageId]),
    answered: (_, range, ms) => void said.push(['answered', range.length, ms]),
  }
  sources.share(permits)
  table.set('a', one)
  table.set('b', other)
  t.ok(isHeard(heard, part))
  t.ok(isHeard(refused), 'nothing is permitted of it')
  sources.share(permits)
  for (const isAway of [true, true, false]) sources.setAway(isAway)
  t.ok(isHeard(heard, part, null, part))
  sources.answered(image, range(7), 3)
  sources.unfollow('b')
  sources.share(null)
  t.ok(isHeard(heard, part, null, part, one), 'alone again')
  sources.unfollow('a')
  t.same(said, [
    ['guard', 'a', true],
    ['guard', 'b', true],
    ['guard', 'a', true],
    ['guard', 'b', true],
    ['answered', 7, 3],
    ['release', 'b'],
    ['release', 'a'],
  ])
})

t.test('beyond the images that stay open the one that was opened first has no reader', async t => {
  const { sources, table } = opened(2)
  const heard = following(sources, 'a')
  for (const imageId of ['a', 'b', 'c']) table.set(imageId, one)
  t.ok(isHeard(heard, one, null))
  table.set('a', other)
  t.ok(isHeard(heard, one, null, other))
})

t.test('an image that is refused has no reader, and an origin that is opened anew none of before', async t => {
  const { sources, table } = opened(2)
  const heard = following(sources, 'a')
  table.set('a', one)
  table.delete('b')
  table.delete('a')
  table.delete('a')
  t.ok(isHeard(heard, one, null))
  table.set('a', one)
  const next = new ReaderTable(2, freeGrant)
  sources.replace(next)
  t.ok(isHeard(heard, one, null, one, null))
  table.set('a', one)
  t.ok(isHeard(heard, one, null, one, null), 'calls under way may end later')
  next.set('a', other)
  t.ok(isHeard(heard, one, null, one, null, other))
})

t.test('answered reads are told to the opening of now', async t => {
  const { sources, table } = opened(2)
  const told: unknown[] = []
  table.onAnswered = (...facts) => told.push(['before', ...facts])
  sources.answered(image, range(10), 2)
  const next = new ReaderTable(2, freeGrant)
  next.onAnswered = (...facts) => told.push(['now', ...facts])
  sources.replace(next)
  sources.answered(image, range(20), 3)
  t.same(told, [
    ['before', image, 10, 2],
    ['now', image, 20, 3],
  ])
  new NativeReadSources().answered(image, range(1), 1)
})
