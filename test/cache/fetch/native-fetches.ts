/** Native fetches: what becomes of the bytes that session threads brought. */
import t from 'tap'
import { Geometry } from '../../../src/base/image.ts'
import { noTraces } from '../../../src/base/trace.ts'
import type { InflightFetch } from '../../../src/cache/fetch/inflight-fetch.ts'
import { type ClaimedImage, InflightTable } from '../../../src/cache/fetch/inflight-table.ts'
import { NativeFetches } from '../../../src/cache/fetch/native-fetches.ts'
import { ClaimTable } from '../../../src/store/image/claim-table.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

/** An engine that reports what the test says, and an image with the file number 5. */
function fetching() {
  const calls: string[] = []
  let announce = () => {}
  let batch = new Float64Array(0)
  const fetchMemory = Uint8Array.from({ length: 64 }, (_, k) => k).buffer
  const engine = {
    fetchMemory,
    onFetches: (listener: () => void) => {
      announce = listener
    },
    takeFetches: () => {
      const taken = batch
      batch = new Float64Array(0)
      return taken
    },
    releaseFetch: (id: number) => void calls.push(`release ${id}`),
    freeFetch: (id: number) => void calls.push(`free ${id}`),
  }
  const fetches = new InflightTable()
  const state = { isStored: true }
  const native = new NativeFetches(engine, {
    ...{ fetches, traces: noTraces, now: () => 0 },
    isStored: () => state.isStored,
    count: (image, { offset, length }, ms) => void calls.push(`count ${image.key} ${offset} ${length} ${ms}`),
  })
  const given: { inflight: InflightFetch; bytes: number[] }[] = []
  native.onUnjoined = (_stored, inflight, bytes) => void given.push({ inflight, bytes: [...bytes] })
  const claimed: ClaimedImage = {
    lockKey: object => `a ${object}`,
    claims: new ClaimTable(new ArrayBuffer(64)),
    file: { joinFetches: () => [] },
  }
  const geometry = new Geometry(256, 2)
  const stored = { ...claimed, geometry, image: { key: 'a' }, file: { number: 5 } } as unknown as StoredImage
  /** Id, and the bytes from 10 on of the blocks 3 and 4 of object 1. */
  const over = async (id: number, right = 1, file = 5) => {
    batch = Float64Array.of(id, file, 1, 3, 2, 10, 4, 2500, right)
    announce()
    await until(() => batch.length === 0, patienceMs, 'the look at arrivals')
  }
  return { native, fetches, calls, given, stored, over, state }
}

t.test('bytes that nobody here waits for are a fetch like any other, until they are in the store', async t => {
  const { native, fetches, calls, given, stored, over } = fetching()
  native.watch(stored)
  await over(7)
  t.same(
    given.map(({ bytes }) => bytes),
    [[10, 11, 12, 13]],
  )
  const { inflight } = given[0]!
  t.same([inflight.object, inflight.run], [1, { first: 3, count: 2 }])
  t.same(fetches.overlapping(stored, 1, 0b1000n), [inflight])
  t.same(calls, ['count a 134 4 2.5'])
  const leave = inflight.acquire()
  fetches.remove(stored, inflight)
  t.same(calls.slice(1), ['release 7'], 'a reader still has the bytes')
  leave()
  t.same(calls.slice(1), ['release 7', 'free 7'])
})

t.test('a fetch that is waited for goes to its waiter, and says when it failed', async t => {
  const { native, fetches, given, calls, stored, over } = fetching()
  native.watch(stored)
  const [right, wrong] = [native.join(7), native.join(8)]
  await over(7)
  await over(8, 0)
  t.same([...(await right.arrival)!], [10, 11, 12, 13])
  t.equal(await wrong.arrival, null)
  t.same([right.isHere, wrong.isHere], [true, false])
  t.same([given.length, fetches.size], [0, 0])
  t.same(calls, ['count a 134 4 2.5'])
})

t.test('bytes of an image that is unknown, or not in the store any more, are dropped at once', async t => {
  const { native, calls, given, stored, over, state } = fetching()
  await over(7)
  native.watch(stored)
  await over(8, 1, 6)
  state.isStored = false
  await over(9)
  t.same(
    calls.filter(call => !call.startsWith('count')),
    [7, 8, 9].flatMap(id => [`release ${id}`, `free ${id}`]),
  )
  t.equal(given.length, 0)
})
