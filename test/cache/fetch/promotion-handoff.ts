/** Bytes that the store did not take. */
import t, { type Test } from 'tap'
import { type FetchPlan, InflightFetch } from '../../../src/cache/fetch/inflight-fetch.ts'
import { InflightTable } from '../../../src/cache/fetch/inflight-table.ts'
import { promotionBatchBytesMax } from '../../../src/cache/fetch/limits.ts'
import { PromotionHandoff } from '../../../src/cache/fetch/promotion-handoff.ts'
import { UnpromotedBuffer } from '../../../src/cache/fetch/unpromoted-buffer.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

/** Fetches one block and hands it over to a store that takes nothing. @returns fetches that are listed afterwards */
async function listedAfter(t: Pick<Test, 'teardown'>, isRemoved: boolean): Promise<number> {
  const fetches = new InflightTable()
  const unpromoted = new UnpromotedBuffer(1 << 20, () => 0)
  t.teardown(() => unpromoted.close())
  let offered = 0
  const handoff = new PromotionHandoff({
    fetches,
    unpromoted,
    promote: async () => {
      offered++
      return [false]
    },
    mayPromote: () => true,
    isPassing: () => false,
  })
  const stored = { lockKey: () => 'a 0', usageGate: { isClosed: isRemoved } } as unknown as StoredImage
  const bytes = new Uint8Array(4096)
  const inflight = new InflightFetch(0, { first: 0, count: 1 }, { fetch: async () => bytes, free: () => {} })
  fetches.add(stored, inflight, () => {})
  handoff.handOver(stored, inflight, bytes)
  await inflight.settled
  await until(() => offered === 1, patienceMs, 'the offer')
  await new Promise(resolve => setImmediate(resolve))
  return fetches.size
}

t.test('bytes that the store did not take stay for readers who come back', async t => {
  t.equal(await listedAfter(t, false), 1)
})

t.test('bytes of an image that was removed do not stay: its successor fetches its own', async t => {
  t.equal(await listedAfter(t, true), 0)
})

/** A fetch of one block with its bytes here; the store says what the test wants. */
function handing(t: Pick<Test, 'teardown'>, ahead?: FetchPlan['ahead']) {
  const state = { takes: false, mayTake: false, promotions: 0 }
  const fetches = new InflightTable()
  const unpromoted = new UnpromotedBuffer(1 << 20, () => 0)
  t.teardown(() => unpromoted.close())
  const handoff = new PromotionHandoff({
    fetches,
    unpromoted,
    promote: async () => {
      state.promotions++
      return [state.takes]
    },
    mayPromote: () => state.mayTake,
    isPassing: () => false,
  })
  const stored = { lockKey: () => 'a 0', usageGate: { isClosed: false } } as unknown as StoredImage
  const bytes = new Uint8Array(4096)
  const plan: FetchPlan = { fetch: async () => bytes, free: () => {}, ...(ahead ? { ahead } : {}) }
  const inflight = new InflightFetch(0, { first: 0, count: 1 }, plan)
  fetches.add(stored, inflight, () => {})
  const handOver = async () => {
    const { promotions } = state
    handoff.handOver(stored, inflight, bytes)
    await until(() => state.promotions > promotions, patienceMs, 'the offer')
    await nextIteration()
  }
  return { state, fetches, unpromoted, handoff, inflight, handOver }
}

t.test('readers get the bytes before the store does', async t => {
  const { state, inflight, handOver } = handing(t)
  const handedOver = handOver()
  await inflight.arrival
  t.equal(state.promotions, 0)
  await handedOver
})

t.test('what the store took is in flight no more', async t => {
  const { state, fetches, unpromoted, handOver } = handing(t)
  state.takes = true
  await handOver()
  t.same([fetches.size, unpromoted.size], [0, 0])
})

t.test('each reader that comes back has it offered again, once the store may take it', async t => {
  const { state, fetches, unpromoted, inflight, handOver } = handing(t)
  await handOver()
  inflight.acquire()()
  await nextIteration()
  t.same([state.promotions, unpromoted.size], [1, 1], 'the store would not take it now')
  state.mayTake = true
  inflight.acquire()()
  t.equal(unpromoted.size, 0)
  await until(() => state.promotions === 2, patienceMs, 'the second offer')
  await until(() => unpromoted.size === 1, patienceMs, 'it was refused again')
  state.takes = true
  inflight.acquire()()
  await until(() => fetches.size === 0, patienceMs, 'the store has it')
  t.equal(state.promotions, 3)
})

t.test('bytes of a long stream stay for as long as the read-ahead buffer has them, and no longer', async t => {
  let leaveShelf = () => {}
  const whenReleased = (then: () => void) => {
    leaveShelf = then
  }
  const { fetches, unpromoted, handoff, handOver } = handing(t, { isPassing: true, whenReleased })
  await handOver()
  t.same([fetches.size, unpromoted.size, handoff.bufferedFetches], [1, 0, 1])
  leaveShelf()
  t.same([fetches.size, handoff.bufferedFetches], [0, 0])
})

t.test('bytes that are pushed out of memory leave with those of the read-ahead buffer', async t => {
  const unshelved = deferred()
  const { fetches, unpromoted, handoff, handOver } = handing(t, {
    isPassing: false,
    whenReleased: then => void unshelved.promise.then(then),
  })
  await handOver()
  t.same([fetches.size, unpromoted.size, handoff.bufferedFetches], [1, 1, 0])
  unpromoted.close()
  t.same([fetches.size, unpromoted.size, handoff.bufferedFetches], [1, 0, 1], 'native readers find them there')
  unshelved.resolve()
  await nextIteration()
  t.equal(fetches.size, 0)
})

t.test('what comes in one turn is offered together: by image, long streams apart, up to a bound of bytes', async t => {
  const fetches = new InflightTable()
  const unpromoted = new UnpromotedBuffer(1 << 20, () => 0)
  t.teardown(() => unpromoted.close())
  const offers: string[] = []
  const handoff = new PromotionHandoff({
    ...{ fetches, unpromoted, mayPromote: () => true },
    isPassing: (_, { object }) => object === 9,
    promote: async (stored, extents, isPassing) => {
      const blocks = extents.map(({ object, first }) => `${object}/${first}`)
      offers.push(`${stored.imageId}${isPassing ? ' passing' : ''}: ${blocks}`)
      return extents.map(() => true)
    },
  })
  const image = (imageId: string) => {
    const lockKey = (object: number) => `${imageId} ${object}`
    return { imageId, lockKey, usageGate: { isClosed: false } } as unknown as StoredImage
  }
  const [a, b] = [image('a'), image('b')]
  const hand = (stored: StoredImage, object: number, first: number, bytes = 4096) => {
    const plan = { fetch: async () => new Uint8Array(0), free: () => {} }
    const inflight = new InflightFetch(object, { first, count: 1 }, plan)
    fetches.add(stored, inflight, () => {})
    handoff.handOver(stored, inflight, new Uint8Array(bytes))
  }
  hand(a, 0, 1)
  hand(b, 0, 2)
  hand(a, 9, 3)
  hand(a, 0, 4, promotionBatchBytesMax - 4096)
  hand(a, 0, 5, 1)
  hand(b, 7, 6)
  await until(() => fetches.size === 0, patienceMs, 'the promotions')
  t.same(offers, ['a: 0/1,0/4', 'b: 0/2,7/6', 'a passing: 9/3', 'a: 0/5'])
})

t.test(
  'what comes in several turns waits some milliseconds, and is offered together; a whole batch waits for none',
  async t => {
    const fetches = new InflightTable()
    const unpromoted = new UnpromotedBuffer(1 << 20, () => 0)
    t.teardown(() => unpromoted.close())
    const timers: (() => void)[] = []
    t.intercept(globalThis, 'setTimeout', { value: (work: () => void) => timers.push(work) })
    t.intercept(globalThis, 'clearTimeout', { value: () => {} })
    const offers: number[] = []
    const handoff = new PromotionHandoff({
      ...{ fetches, unpromoted, mayPromote: () => true, isPassing: () => false },
      promote: async (_, extents) => {
        offers.push(extents.length)
        return extents.map(() => true)
      },
    })
    const stored = { lockKey: () => 'a 0', usageGate: { isClosed: false } } as unknown as StoredImage
    const hand = async (first: number, bytes: number) => {
      const plan = { fetch: async () => new Uint8Array(0), free: () => {} }
      const inflight = new InflightFetch(0, { first, count: 1 }, plan)
      fetches.add(stored, inflight, () => {})
      handoff.handOver(stored, inflight, new Uint8Array(bytes))
      await nextIteration()
      await nextIteration()
    }
    await hand(1, 4096)
    await hand(2, 4096)
    t.same([offers, timers.length], [[], 1])
    timers[0]!()
    await nextIteration()
    t.same(offers, [2])
    await hand(3, 4096)
    await hand(4, promotionBatchBytesMax - 4096)
    t.same([offers, fetches.size], [[2, 2], 0])
  },
)
