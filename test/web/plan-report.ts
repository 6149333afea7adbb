/** The plan for pages: one estimate for many, and what is not there. */
import t from 'tap'
import type { PlanBasis } from '../../src/cache/plan/plan-basis.ts'
import { webPlanFreshMs } from '../../src/web/limits.ts'
import { PlanReports } from '../../src/web/plan-report.ts'

const none = Buffer.alloc(0).toString('base64')
const uses = { files: none, objects: none, lows: none, highs: none, counts: none }
const basis: PlanBasis = {
  ...{ capacityBytes: 2 ** 30, blockBytes: 65_536, objectBytes: 2 ** 22, policy: 'lru', highShare: 0.9, lowShare: 0.9 },
  ...{ rate: 1, countFrom: 0, droppedSamples: 0, reads: 0, uses },
}

t.test('twenty pages cost one estimate a minute, and one that failed is not kept', async t => {
  let [nowMs, asked] = [0, 0]
  let answer: PlanBasis | null = null
  const ask = async () => {
    asked++
    return answer
  }
  const plans = new PlanReports(ask, undefined, () => nowMs)
  await t.rejects(plans.get(), { code: 'closed' })
  answer = basis
  const reports = await Promise.all(Array.from({ length: 20 }, () => plans.get()))
  t.equal(asked, 2)
  t.match(reports[0], { capacityBytes: 2 ** 30, policy: 'lru', reads: 0, capacities: [] })
  t.notOk('uses' in reports[0]!, 'the sample itself stays here')
  nowMs = webPlanFreshMs - 1
  await plans.get()
  t.equal(asked, 2)
  nowMs++
  answer = { ...basis, reads: 10 }
  t.equal((await plans.get()).capacities.length, 7)
  t.equal(asked, 3)
})
