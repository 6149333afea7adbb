import t from 'tap'
import type { Sample } from '../../bench/compare/samples.ts'
import { barChart } from '../../bench/report/chart.ts'
import { withTables } from '../../bench/report/page.ts'
import { rowsOf } from '../../bench/report/ratios.ts'
import { aligned, leads, lossesOf, tablesOf } from '../../bench/report/tables.ts'

function sample(contender: string, round: number, value: number, question = 'boot'): Sample {
  return { question, contender, scene: 'boot', round, value, cpuMs: 5, rssAnonBytes: 1000 }
}

t.test('ratios are taken within a round, and above 1 is better', async t => {
  const samples = [
    ...[2, 4, 6].map((value, round) => sample('parentfs', round, value)),
    ...[4, 4, 3].map((value, round) => sample('other', round, value)),
    sample('absent once', 1, 8),
  ]
  const [ours, other, once] = rowsOf(samples, 'parentfs', () => 'lower')
  t.match(ours, { contender: 'parentfs', median: 4, ratio: null, rounds: 3 })
  t.match(other, { median: 4, ratio: { median: 1, min: 0.5, max: 2, best: 2 / 3 } })
  t.match(once, { ratio: { median: 0.5 }, rounds: 1 })
  const [, higher] = rowsOf(samples, 'parentfs', () => 'higher')
  t.match(higher, { ratio: { median: 1, min: 0.5, max: 2 } })
  const [, below] = rowsOf([sample('parentfs', 0, -1), sample('other', 0, 2)], 'parentfs', () => 'lower')
  t.equal(below!.ratio, null, 'a difference below zero has no ratio')
})

t.test('the page gets tables between its marks, with failures and with all that was left out', async t => {
  const rows = rowsOf([sample('parentfs', 0, 2), sample('other', 0, 5)], 'parentfs', () => 'lower')
  const machine = { processor: 'P', processors: 2, memoryGiB: 4, kernel: '6', system: 'D', load: 0, versions: {} }
  const failures = [{ contender: 'third', scene: 'boot', round: 0, reason: 'hung: for ever' }]
  const skipped = [{ what: 'fourth', reason: 'not installed' }]
  const plots = [{ path: 'pictures/a.svg', title: 'A picture' }]
  const parts = { machine, when: '2026-01-01', rounds: 1, rows, failures, skipped, reference: 'parentfs', plots }
  const marks = ['<!-- Written by `make bench` from here -->', '<!-- to here -->']
  const page = withTables(`Before\n${marks[0]}\nfrom before\n${marks[1]}\nAfter\n`, parts)
  t.match(page, /Before[\s\S]*\| until it is up \| 2 s \| 2\.5 \|[\s\S]*After/)
  t.match(page, /Failed: third, boot, round 1: hung: for ever/)
  t.match(page, /Left out: fourth \(not installed\)/)
  t.match(page, /!\[A picture\]\(pictures\/a.svg\)/)
  t.notMatch(page, /from before/)
  t.equal(withTables(page, parts), page, 'written again, it is the same')
  t.throws(() => withTables('no marks', parts))
})

t.test('a question in which another is ahead in every round is listed', async t => {
  const of = (question: string, other: readonly number[]) => [
    ...other.map((_, round) => sample('parentfs', round, 10, question)),
    ...other.map((value, round) => sample('nbdkit', round, value, question)),
  ]
  const samples = [...of('boot-bytes', [5, 4]), ...of('boot', [5, 11])]
  t.same(leads(rowsOf(samples, 'parentfs', () => 'lower')), ['A recorded boot, origin 10 ms away: fetched: nbdkit 2.5'])
})

t.test('a question is lost where another is further ahead than in every round before', async t => {
  const against = (...values: readonly number[]) =>
    rowsOf(
      values.flatMap((value, round) => [sample('parentfs', round, 10), sample('other', round, value)]),
      'parentfs',
      () => 'lower',
    )
  const kept = against(10, 8)
  t.same(lossesOf(against(8), kept), [])
  t.same(lossesOf(against(4), kept), ['boot: boot: other 2.5, and at most 1.25 before'])
})

t.test('a scene is one table, with ratios where values can be divided', async t => {
  const samples = [
    ...[2, 4].map((value, round) => sample('parentfs', round, value)),
    ...[4, 4].map((value, round) => sample('other', round, value)),
    sample('parentfs', 0, 0, 'boot-waits'),
    sample('other', 0, 3, 'boot-waits'),
    sample('third', 0, 3, 'boot-waits'),
  ]
  const [table, ...others] = tablesOf(
    rowsOf(samples, 'parentfs', () => 'lower'),
    'parentfs',
  )
  t.same(others, [])
  t.equal(table!.title, 'A recorded boot, origin 10 ms away')
  t.same(aligned(table!.cells), [
    '                                  parentfs  other      third',
    'until it is up                    4 s       1 (1 - 2)  -',
    'reads that waited for the origin  0 reads   3 reads    3 reads',
  ])
})

t.test('a chart says its values as text', async t => {
  const bars = [
    { label: 'a<b', value: 10, said: '10 ms', isOurs: true },
    { label: 'c', value: 5, said: '5 ms', isOurs: false },
  ]
  const svg = barChart('How & why', bars)
  t.match(svg, /How &amp; why/)
  t.match(svg, /a&lt;b/)
  const lengths = [...svg.matchAll(/width="(\d+\.\d)"/g)].map(match => Number(match[1]))
  t.equal(lengths[0], 2 * lengths[1]!)
})
