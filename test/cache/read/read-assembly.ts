import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { Geometry } from '../../../src/base/image.ts'
import { type FetchPlan, InflightFetch } from '../../../src/cache/fetch/inflight-fetch.ts'
import { acquireAll, arrivals, assemble, coalesce, lendOrCopy } from '../../../src/cache/read/read-assembly.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

const whole = Uint8Array.from({ length: 100 }, (_, k) => k)
const piece = (offset: number, from: number, to: number, bytes = whole) => {
  return { offset, length: to - from, bytes: bytes.subarray(from, to) }
}

t.test('pieces that lie side by side in one buffer are one, without a copy', async t => {
  const one = coalesce([piece(1010, 10, 20), piece(1020, 20, 50), piece(1050, 50, 60)])!
  t.same([one.offset, one.length], [1010, 50])
  t.equal(one.bytes.buffer, whole.buffer)
  t.same([...one.bytes], [...whole.subarray(10, 60)])
  t.same(coalesce([piece(5, 0, 7)])?.length, 7)
})

t.test('others are not: in another buffer, with a gap, in another order, elsewhere in the image', async t => {
  t.equal(coalesce([]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(20, 20, 30, whole.slice())]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(21, 21, 30)]), null)
  t.equal(coalesce([piece(20, 20, 30), piece(10, 10, 20)]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(30, 20, 30)]), null)
  t.equal(coalesce([piece(10, 10, 20), piece(20, 30, 40)]), null)
})

const geometry = new Geometry(100, 10)

/** A store that has all bytes but those of `lacking`, and notes what it is asked for. */
function storing(lacking = -1) {
  const asked: [number, number][] = []
  const stored = {
    geometry,
    read: async (offset: number, target: Uint8Array) => {
      asked.push([offset, target.length])
      target.set(whole.subarray(offset, offset + target.length))
      return !(offset <= lacking && lacking < offset + target.length)
    },
  }
  return { asked, stored: stored as unknown as StoredImage }
}

/** A fetch of the blocks [first, first + count), each of 10 bytes. */
function inFlight(first: number, count: number, more: Partial<FetchPlan> = {}) {
  const fetch = async () => whole.subarray(first * 10, (first + count) * 10)
  return new InflightFetch(0, { first, count }, { fetch, free: () => {}, ...more })
}

t.test('a reply is put together from what arrived, in any order, and from the store where that has gaps', async t => {
  const { asked, stored } = storing()
  const target = new Uint8Array(60)
  t.ok(
    await assemble(stored, target, 15, [piece(50, 50, 60), piece(20, 20, 40), piece(30, 30, 45), piece(90, 90, 100)]),
  )
  t.same([...target], [...whole.subarray(15, 75)])
  t.same(asked, [
    [15, 5],
    [45, 5],
    [60, 15],
  ])
  const all = storing()
  t.ok(await assemble(all.stored, new Uint8Array(10), 5, [piece(0, 0, 50)]))
  t.same(all.asked, [], 'nothing is asked of the store when all has arrived')
})

t.test('it is not whole where the store no longer has its share', async t => {
  const { stored } = storing(65)
  t.notOk(await assemble(stored, new Uint8Array(60), 15, [piece(20, 20, 40)]))
})

t.test('a reader waits for all its fetches, or until it leaves', async t => {
  const late = deferred<Uint8Array>()
  const { stored } = storing()
  const fetches = [inFlight(0, 1), inFlight(5, 1, { fetch: () => late.promise })]
  const waiting = arrivals(stored, fetches, signal)
  const leaving = new AbortController()
  const left = arrivals(stored, fetches, leaving.signal)
  leaving.abort()
  await t.rejects(left, { code: 'aborted' })
  late.resolve(whole.subarray(50, 60))
  t.same(await waiting, [piece(0, 0, 10), piece(50, 50, 60)])
  t.same(await arrivals(stored, [], signal), [])
})

t.test(
  'a prefetch that failed says nothing of this moment: the reader tries again; other failures are its own',
  async t => {
    const { stored } = storing()
    const ahead = { isPassing: false, whenReleased: (then: () => void) => then() }
    for (const [isAhead, code, expected] of [
      [true, 'origin-failed', null],
      [true, 'image-changed', 'image-changed'],
      [true, 'closed', 'closed'],
      [false, 'origin-failed', 'origin-failed'],
    ] as const) {
      const fetch = () => Promise.reject(new CacheError(code, 'no'))
      const inflight = inFlight(0, 1, { fetch, ...(isAhead ? { ahead } : {}) })
      const found = arrivals(stored, [inflight, inFlight(3, 1)], signal)
      if (expected) await t.rejects(found, { code: expected })
      else t.equal(await found, null)
    }
    const failed = inFlight(0, 1, { fetch: () => Promise.reject(new CacheError('origin-failed', 'no')), ahead })
    await nextIteration()
    await t.rejects(arrivals(stored, [failed], AbortSignal.abort()), { code: 'aborted' }, 'it does not try again')
  },
)

t.test('bytes are lent to a reader that gives them back, others get a copy, and no memory is held', async t => {
  const bytes = whole.slice(0, 10)
  let released = 0
  const release = () => void released++
  const copy = lendOrCopy(bytes, release, {})
  bytes.fill(0)
  t.same([...copy], [...whole.subarray(0, 10)])
  t.equal(released, 1)
  let giveBack = () => {}
  const lent = lendOrCopy(bytes, release, {
    lend: back => {
      giveBack = back
    },
  })
  t.equal(lent, bytes)
  t.equal(released, 1)
  giveBack()
  t.equal(released, 2)
})

t.test('a reader of several fetches joins and leaves all of them', async t => {
  for (const count of [0, 1, 3]) {
    const never = deferred<Uint8Array>()
    const fetches = Array.from({ length: count }, (_, k) => inFlight(k, 1, { fetch: () => never.promise }))
    const leave = acquireAll(fetches)
    t.notOk(fetches.some(({ cancelled }) => cancelled))
    leave()
    t.ok(fetches.every(({ cancelled }) => cancelled))
  }
})
