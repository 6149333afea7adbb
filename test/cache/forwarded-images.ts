/** Forwarded images: which are given the origin's own file, what is counted, and what is never left open. */
import t from 'tap'
import { CacheError } from '../../src/base/errors.ts'
import { type Image, identify } from '../../src/base/image.ts'
import { ForwardedImages } from '../../src/cache/forwarded-images.ts'
import type { CacheMode } from '../../src/cache/modes/cache-mode.ts'
import type { Origin, OwnFile } from '../../src/origin/contract/origin.ts'
import { deferred, nextIteration } from '../fixtures/deferred.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'

const { signal } = new AbortController()
const image = identify({ origin: 'memory://origin', key: 'a', sizeBytes: 5, validator: 'v1', modifiedMs: 0 })

function setUp() {
  const state = { mode: 'forward' as CacheMode, isSound: true, closed: 0, gate: Promise.resolve() }
  const [changed, opens] = [[] as string[], [] as string[]]
  const source = new MemoryOrigin()
  const file: OwnFile = { fd: 7, close: async () => void state.closed++ }
  const openFile = async (): Promise<OwnFile | null> => {
    await state.gate
    if (source.failure) throw source.failure
    return file
  }
  const origin: Origin & { hasOwnFiles: boolean } = Object.assign(source, { hasOwnFiles: true, openFile })
  const forwarded = new ForwardedImages({
    modes: { of: () => state.mode },
    digester: { isSound: () => state.isSound },
    imageChanged: ({ key }: Image) => void changed.push(key),
    originOf: () => origin,
    opens: { begin: id => void opens.push(`begin ${id}`), end: id => void opens.push(`end ${id}`) },
  })
  return { state, source, origin, file, changed, opens, forwarded }
}

t.test('an open is given the file and counted until it ends', async t => {
  const { file, opens, forwarded } = setUp()
  t.ok(forwarded.offers(image))
  t.equal(await forwarded.begin(image, { signal }), file)
  t.match(forwarded.counters, { opens: 1, openNow: 1, refused: 0 })
  forwarded.end(image)
  t.match(forwarded.counters, { opens: 1, openNow: 0, refused: 0 })
  t.same(opens, [`begin ${image.id}`, `end ${image.id}`])
})

t.test('nothing is given in another mode, of a damaged image, without own files, or after the end', async t => {
  const { state, origin, opens, forwarded } = setUp()
  const refusals = [
    () => (state.mode = 'promote'),
    () => {
      state.mode = 'forward'
      state.isSound = false
    },
    () => {
      state.isSound = true
      origin.hasOwnFiles = false
    },
    () => {
      origin.hasOwnFiles = true
      forwarded.close()
    },
  ]
  for (const [at, refuse] of refusals.entries()) {
    refuse()
    t.equal(forwarded.offers(image), false)
    t.equal(await forwarded.begin(image, { signal }), null)
    t.match(forwarded.counters, { opens: 0, openNow: 0, refused: at + 1 })
  }
  t.same(opens, [])
})

t.test('a file that comes after the end is closed and not given', async t => {
  const { state, opens, forwarded } = setUp()
  const gate = deferred()
  state.gate = gate.promise
  const begun = forwarded.begin(image, { signal })
  await nextIteration()
  forwarded.close()
  gate.resolve()
  t.equal(await begun, null)
  t.same([state.closed, opens], [1, []])
})

t.test('an error is the caller’s; another version makes the name be asked about', async t => {
  const { source, changed, opens, forwarded } = setUp()
  source.failure = new CacheError('access-denied', 'no')
  await t.rejects(forwarded.begin(image, { signal }), { code: 'access-denied' })
  t.same(changed, [])
  source.failure = new CacheError('image-changed', 'another one')
  await t.rejects(forwarded.begin(image, { signal }), { code: 'image-changed' })
  t.same([changed, opens], [['a'], []])
  t.match(forwarded.counters, { opens: 0, openNow: 0, refused: 2 })
})

t.test('another host is sent to a place that it can reach, in mode forward alone', async t => {
  const { state, source, forwarded } = setUp()
  t.equal(
    forwarded.redirectionOf(image, () => true),
    null,
    'there is no such place',
  )
  source.publicUrl = 'http://far/'
  const asked: string[] = []
  const reaches = (answer: boolean) => (url: string) => {
    asked.push(url)
    return answer
  }
  t.equal(forwarded.redirectionOf(image, reaches(false)), null)
  t.equal(forwarded.counters.redirects, 0, 'not counted')
  t.equal(forwarded.redirectionOf(image, reaches(true)), 'http://far/a')
  t.equal(forwarded.counters.redirects, 1)
  state.mode = 'proxy'
  t.equal(forwarded.redirectionOf(image, reaches(true)), null)
  state.mode = 'forward'
  state.isSound = false
  t.equal(forwarded.redirectionOf(image, reaches(true)), null)
  t.same(asked, ['http://far/a', 'http://far/a'])
})
