import t from 'tap'
import { HedgeBudget } from '../../../src/fleet/asking/hedge-budget.ts'
import {
  hedgeSavedMax,
  lateAnswersMax,
  passedByMsMax,
  passedByMsMin,
  replicasMs,
  samplesMin,
} from '../../../src/fleet/asking/limits.ts'
import { PeerHealth } from '../../../src/fleet/asking/peer-health.ts'
import { ReplicaCounts } from '../../../src/fleet/asking/replica-counts.ts'
import { ranksMax } from '../../../src/fleet/group/limits.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'

t.test('a member that fails is passed by, doubled at each failure, and tried by one request', async t => {
  const clock = fakeClock()
  const health = new PeerHealth(clock.now)
  t.ok(health.isUsable)
  health.failed('reset')
  t.notOk(health.isUsable)
  health.failed('another request of that moment')
  await clock.advance(passedByMsMin)
  t.ok(health.isUsable, 'requests of one failure count once')
  health.begin()
  t.notOk(health.isUsable, 'one request tries it')
  health.end()
  health.failed('reset')
  await clock.advance(passedByMsMin)
  t.notOk(health.isUsable)
  await clock.advance(passedByMsMin)
  t.ok(health.isUsable)
  for (let k = 0; k < 20; k++) {
    await clock.advance(passedByMsMax)
    t.ok(health.isUsable, 'never longer than the bound')
    health.failed('reset')
  }
  await clock.advance(passedByMsMax)
  health.begin()
  health.end()
  health.answered(1, 1)
  t.equal(health.state, 'well')
  health.failed('reset')
  await clock.advance(passedByMsMin)
  t.ok(health.isUsable, 'it begins anew')
})

t.test('a member that keeps requests waiting and answers none is passed by; one that answers some is not', async t => {
  const health = new PeerHealth(fakeClock().now)
  for (let k = 1; k < lateAnswersMax; k++) health.late()
  health.answered(1, 1)
  for (let k = 1; k < lateAnswersMax; k++) health.late()
  t.equal(health.state, 'well')
  health.late()
  t.equal(health.state, 'passed-by')
})

t.test('answers that a member had to bring say nothing about its own time', t => {
  const health = new PeerHealth(fakeClock().now)
  for (let k = 0; k < samplesMin; k++) health.answered(1, 50, true)
  t.equal(health.heldMs(1), null)
  t.equal(health.quantile(1, 0.5) === null, false)
  for (let k = 0; k < samplesMin; k++) health.answered(1, 5)
  t.ok(health.heldMs(1)! < 10)
  t.end()
})

t.test('a liar is asked no more', async t => {
  const clock = fakeClock()
  const health = new PeerHealth(clock.now)
  health.lied('a block differs')
  await clock.advance(10 * passedByMsMax)
  health.refused()
  t.notOk(health.isUsable)
  t.match([health.state, health.reason], ['quarantined', 'a block differs'])
})

t.test('the budget of second requests starts empty, and saves a few', async t => {
  const budget = new HedgeBudget(0.25)
  t.notOk(budget.pay())
  for (let k = 0; k < 4; k++) budget.earn()
  t.ok(budget.pay())
  t.notOk(budget.pay())
  for (let k = 0; k < 1_000; k++) budget.earn()
  let paid = 0
  while (budget.pay()) paid++
  t.equal(paid, hedgeSavedMax)
  t.same(budget.counters, { paid: 1 + hedgeSavedMax, unpaid: 3 })
  for (let k = 0; k < 8; k++) budget.earn(4)
  t.notOk(budget.pay(), 'four hosts save for one request')
  for (let k = 0; k < 8; k++) budget.earn(4)
  t.ok(budget.pay())
})

t.test('replicas double at a refusal up to the ranks, and are forgotten', async t => {
  const clock = fakeClock()
  const counts = new ReplicaCounts(clock.now)
  t.equal(counts.of('a'), 1)
  counts.refused('a', 0)
  t.equal(counts.of('a'), 2)
  counts.refused('a', 8)
  t.equal(counts.of('a'), 8)
  counts.refused('a', 1e9)
  counts.refused('a', 0)
  t.equal(counts.of('a'), ranksMax)
  t.equal(counts.of('b'), 1)
  await clock.advance(replicasMs)
  t.equal(counts.of('a'), 1)
})
