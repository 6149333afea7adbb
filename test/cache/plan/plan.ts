/** Plans: capacities as they are asked for, and the same uses on both sides of the socket. */
import t from 'tap'
import { capacitiesOf, planFor } from '../../../src/cache/plan/plan.ts'
import { planBasis, sampleOf } from '../../../src/cache/plan/plan-basis.ts'
import { UseLog } from '../../../src/cache/plan/use-log.ts'
import { tableOfPlan } from '../../../src/cli/commands/plan.ts'
import { parseCapacities } from '../../../src/cli/definitions/define-plan.ts'
import { plotOf } from '../../../src/cli/output/plan-plot.ts'

const GiB = 2 ** 30

function basisOf(log: UseLog, reads: number) {
  const capacity = { capacityBytes: 8 * GiB, highBytes: 7 * GiB, lowBytes: 6 * GiB }
  const store = { blockBytes: 65_536, capacity } as Parameters<typeof planBasis>[0]['store']
  return planBasis({
    store,
    evictor: { policyName: 'adaptive' },
    sampler: { dropped: 5, sample: () => log.sample(reads) },
  })
}

t.test('capacities are multiples and sizes, in order, each once', async t => {
  const asked = parseCapacities('4x, 0.5x,16GiB,2X')
  t.same(asked, [{ times: 4 }, { times: 0.5 }, { bytes: 16 * GiB }, { times: 2 }])
  t.same(capacitiesOf(asked, 8 * GiB), [4 * GiB, 16 * GiB, 32 * GiB])
  for (const wrong of ['', 'x', '0x', '2000x', '1,,2', '0', '-1x', 'lots'])
    t.throws(() => parseCapacities(wrong), wrong)
  t.throws(() => parseCapacities(Array(33).fill('1x').join(',')), /at most 32/)
})

t.test('uses arrive as they were sampled, and a plan has a row for each capacity', async t => {
  const log = new UseLog(0)
  for (let k = 0; k < 1000; k++)
    log.add({ file: 3, object: k % 500, low: 0xffff_ffff, high: k % 500, reads: 2 }, 2 * k + 2)
  const basis = JSON.parse(JSON.stringify(basisOf(log, 2000))) as ReturnType<typeof basisOf>
  t.same(sampleOf(basis), log.sample(2000))
  const rows = await planFor(basis, [GiB / 2, 8 * GiB])
  t.match(rows[1], { lru: { reads: 2000, missRatio: 0.5 }, policy: { missRatio: 0.5 } })
  t.ok(rows[0]!.lru.missRatio > 0.9)
  const table = tableOfPlan(basis, rows)
  t.match(table, /^2000 reads, sampled by 100 % of the objects, 5 uses of them lost; eviction adaptive$/m)
  t.match(table, /^8 GiB \(now\) +50\.0 % +/m)
  const svg = plotOf(basis, rows)
  t.match(svg, /^<svg .*<\/svg>\n$/s)
  t.equal(svg.match(/<polyline/g)!.length, 2)
  t.notMatch(svg, /NaN/)
  t.match(tableOfPlan({ ...basis, reads: 0 }, rows), /nothing was read yet/)
})
