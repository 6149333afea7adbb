/** Promotions for the group: one for all who ask, as long as somebody asks, and no more than the bound. */
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { promotionLeaseMs, promotionsMax } from '../../../src/fleet/server/limits.ts'
import { PromotionRequests } from '../../../src/fleet/server/promotion-requests.ts'

const imageOf = (key: string) => identify({ origin: 'https://o/', key, sizeBytes: 9, validator: 'v', modifiedMs: 0 })
const image = imageOf('a')

function requestsOf(t: Test) {
  let nowMs = 0
  let look = () => {}
  const stopped: string[] = []
  let running = 0
  const requests = new PromotionRequests({
    promote: ({ key }, part, { signal }) =>
      new Promise((_, reject) => {
        running++
        signal.addEventListener('abort', () => {
          running--
          stopped.push(`${key} ${part}`)
          reject(new Error('stopped'))
        })
      }),
    now: () => nowMs,
    every: (_, work) => {
      look = work
      return () => {
        look = () => {}
      }
    },
  })
  t.teardown(() => requests.close())
  const pass = (ms: number) => {
    nowMs += ms
    look()
  }
  return { requests, stopped, pass, running: () => running }
}

t.test('a promotion goes on while it is asked for, and ends when it is not', async t => {
  const { requests, stopped, pass, running } = requestsOf(t)
  for (let k = 0; k < 5; k++) {
    t.match(requests.ask(image, 'own'), { state: 'running' })
    pass(promotionLeaseMs - 1)
  }
  t.equal(running(), 1)
  t.match(requests.ask(image, 'all'), { state: 'running' })
  pass(1)
  t.same(stopped, ['a own'])
  pass(promotionLeaseMs)
  t.same(stopped, ['a own', 'a all'])
  t.match(requests.ask(image, 'own'), { state: 'running' }, 'it begins anew')
})

t.test('one more than the bound is refused, and counted; what failed says why', async t => {
  const { requests } = requestsOf(t)
  for (let k = 0; k < promotionsMax; k++) t.ok(requests.ask(imageOf(`k${k}`), 'own'))
  t.equal(requests.ask(image, 'own'), null)
  t.equal(requests.refused, 1)
  await requests.close()
  t.equal(requests.ask(image, 'own'), null, 'closed')
  t.match(requests.ask(imageOf('k0'), 'own'), { state: 'failed', reason: 'stopped' })
})

t.test('a failure is told once, and then another try begins; what is done is not done for ever', async t => {
  const done = { promotedBytes: 9, complete: true }
  const outcomes = [Promise.reject(new Error('no room')), Promise.resolve(done), new Promise<never>(() => {})]
  let [begun, nowMs, look] = [0, 0, () => {}]
  const every = (_: number, work: () => void) => {
    look = work
    return () => {}
  }
  const requests = new PromotionRequests({ promote: () => outcomes[begun++]!, now: () => nowMs, every })
  const ask = async () => {
    requests.ask(image, 'all')
    await outcomes[begun - 1]!.catch(() => {})
    return requests.ask(image, 'all')
  }
  t.match(await ask(), { state: 'failed', reason: 'no room' })
  t.match(await ask(), { state: 'done', ...done })
  nowMs += promotionLeaseMs - 1
  t.match(requests.ask(image, 'all'), { state: 'done' })
  nowMs += 1
  look()
  t.match(requests.ask(image, 'all'), { state: 'running' })
  t.equal(begun, 3)
})
