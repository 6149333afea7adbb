/** Readers for session threads: followers hear each change, and nothing twice. */
import t from 'tap'
import type { OriginReader } from '../../../src/native/origin-reader.ts'
import { NativeReadSources } from '../../../src/origin/contract/native-read-sources.ts'

const reader = () => ({}) as OriginReader
const [one, other] = [reader(), reader()]

function following(sources: NativeReadSources, imageId: string) {
  const heard: (OriginReader | null)[] = []
  sources.follow(imageId, next => heard.push(next))
  return heard
}

/** The same objects in the same order: readers are opaque, and all alike. */
function isHeard(heard: readonly (OriginReader | null)[], ...expected: readonly (OriginReader | null)[]): boolean {
  return heard.length === expected.length && heard.every((each, k) => each === expected[k])
}

t.test('a follower has the reader of its image, whichever comes first', async t => {
  const sources = new NativeReadSources(2)
  const early = following(sources, 'a')
  t.ok(isHeard(early), 'nothing is said of an image that is not open at its origin')
  sources.set('a', one)
  sources.set('a', one)
  sources.set('b', other)
  t.ok(isHeard(early, one))
  t.ok(isHeard(following(sources, 'b'), other))
  sources.set('a', other)
  t.ok(isHeard(early, one, other), 'an image that was opened anew')
})

t.test('a follower that ends loses its reader, and hears nothing more', async t => {
  const sources = new NativeReadSources(2)
  const [had, none] = [following(sources, 'a'), following(sources, 'b')]
  sources.set('a', one)
  for (const imageId of ['a', 'a', 'b', 'c']) sources.unfollow(imageId)
  sources.set('a', other)
  sources.set('b', other)
  t.ok(isHeard(had, one, null))
  t.ok(isHeard(none))
  t.ok(isHeard(following(sources, 'a'), other), 'the next open has it')
})

t.test('there is no reader while the origin is away', async t => {
  const sources = new NativeReadSources(2)
  const heard = following(sources, 'a')
  sources.set('a', one)
  for (const isAway of [true, true, false, true]) sources.setAway(isAway)
  t.ok(isHeard(heard, one, null, one, null))
  const late = following(sources, 'b')
  sources.set('b', other)
  sources.set('a', other)
  sources.unfollow('a')
  t.ok(isHeard(late))
  sources.setAway(false)
  t.ok(isHeard(late, other))
  t.ok(isHeard(heard, one, null, one, null))
})

t.test('beyond the images that stay open the one that was opened first has no reader', async t => {
  const sources = new NativeReadSources(2)
  const heard = following(sources, 'a')
  for (const imageId of ['a', 'b', 'c']) sources.set(imageId, one)
  t.ok(isHeard(heard, one, null))
  sources.set('a', other)
  t.ok(isHeard(heard, one, null, other))
})
