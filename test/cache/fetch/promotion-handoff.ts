/** What becomes of bytes that the store did not take. */
import t, { type Test } from 'tap'
import { InflightFetch, InflightTable } from '../../../src/cache/fetch/inflight-fetch.ts'
import { PromotionHandoff } from '../../../src/cache/fetch/promotion-handoff.ts'
import { UnpromotedBuffer } from '../../../src/cache/fetch/unpromoted-buffer.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { until } from '../../fixtures/until.ts'

/** Fetches one block and hands it over to a store that takes nothing. @returns fetches that are listed afterwards */
async function listedAfter(t: Pick<Test, 'teardown'>, isRemoved: boolean): Promise<number> {
  const flights = new InflightTable()
  const park = new UnpromotedBuffer(1 << 20, () => 0)
  t.teardown(() => park.close())
  let offered = 0
  const handoff = new PromotionHandoff({
    flights,
    park,
    promote: async () => {
      offered++
      return false
    },
    mayPromote: () => true,
  })
  const stored = { lockKey: () => 'a 0', usageGate: { isClosed: isRemoved } } as unknown as StoredImage
  const bytes = new Uint8Array(4096)
  const flight = new InflightFetch(0, { first: 0, count: 1 }, { fetch: async () => bytes, free: () => {} })
  flights.add('a 0', flight)
  handoff.handOver(stored, flight, bytes)
  await flight.settled
  await until(() => offered === 1, 10_000, 'the offer')
  await new Promise(resolve => setImmediate(resolve))
  return flights.size
}

t.test('bytes that the store did not take stay for readers who come back', async t => {
  t.equal(await listedAfter(t, false), 1)
})

t.test('bytes of an image that was removed do not stay: its successor fetches its own', async t => {
  t.equal(await listedAfter(t, true), 0)
})
