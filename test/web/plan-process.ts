/** Plans estimated in a process of their own: the rows are those of this process, and it ends in time. */
import t from 'tap'
import { planFor } from '../../src/cache/plan/plan.ts'
import type { PlanBasis } from '../../src/cache/plan/plan-basis.ts'
import { planInProcess } from '../../src/web/plan-process.ts'

const none = Buffer.alloc(0).toString('base64')
const uses = { files: none, objects: none, lows: none, highs: none, counts: none }
const basis: PlanBasis = {
  ...{ capacityBytes: 2 ** 30, blockBytes: 65_536, objectBytes: 2 ** 22, policy: 'lru', highShare: 0.9, lowShare: 0.9 },
  ...{ rate: 1, countFrom: 0, reads: 10, droppedSamples: 0, uses },
}
const capacities = [2 ** 29, 2 ** 30]
const { signal } = new AbortController()

t.test('the rows are those that this process estimates', async t => {
  t.same(await planInProcess(basis, capacities, signal), await planFor(basis, capacities))
})

t.test('a process that is late, or not wanted any more, is ended', async t => {
  await t.rejects(planInProcess(basis, capacities, signal, 1), { code: 'closed' })
  const stop = new AbortController()
  const estimating = planInProcess(basis, capacities, stop.signal)
  stop.abort()
  await t.rejects(estimating, { code: 'closed' })
})
