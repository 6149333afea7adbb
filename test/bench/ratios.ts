import t from 'tap'
import type { Sample } from '../../bench/compare/samples.ts'
import { barChart } from '../../bench/report/chart.ts'
import { linesOf } from '../../bench/report/lines.ts'
import { withTables } from '../../bench/report/page.ts'
import { rowsOf } from '../../bench/report/ratios.ts'
import { whoIsAhead } from '../../bench/report/reasons.ts'

function sample(contender: string, round: number, value: number, question = 'boot-cold'): Sample {
  return { question, contender, distance: '10 ms, no cap', round, value, cpuMs: 5, rssAnonBytes: 1000 }
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
})

t.test('the page gets tables between its marks, with who failed and who was not run', async t => {
  const rows = rowsOf([sample('parentfs', 0, 2), sample('other', 0, 5)], 'parentfs', () => 'lower')
  const machine = { processor: 'P', processors: 2, memoryGiB: 4, kernel: '6', system: 'D', load: 0, versions: {} }
  const failures = [{ contender: 'third', distance: null, round: 0, reason: 'hung: for ever' }]
  const skipped = [{ contender: 'fourth', reason: 'not installed' }]
  const plots = [{ path: 'pictures/a.svg', title: 'A picture' }]
  const parts = { machine, when: '2026-01-01', rounds: 1, rows, failures, skipped, reference: 'parentfs', plots }
  const marks = ['<!-- Written by `make bench` from here -->', '<!-- to here -->']
  const page = withTables(`Before\n${marks[0]}\nfrom before\n${marks[1]}\nAfter\n`, parts)
  t.match(page, /Before[\s\S]*\| a recorded boot, cold \| 2 s \| 2\.5 \(2\.5 - 2\.5\) \|[\s\S]*After/)
  t.match(page, /Failed: third, round 1: hung: for ever/)
  t.match(page, /Not run: fourth \(not installed\)/)
  t.match(page, /!\[A picture\]\(pictures\/a.svg\)/)
  t.match(page, /No contender, in any row/)
  t.notMatch(page, /from before/)
  t.equal(withTables(page, parts), page, 'written again, it is the same')
  t.throws(() => withTables('no marks', parts))
})

t.test('each row in which another is ahead in every round is listed, with the reason or without', async t => {
  const of = (question: string, other: readonly number[]) => [
    ...other.map((_, round) => sample('parentfs', round, 10, question)),
    ...other.map((value, round) => sample('nbdkit', round, value, question)),
  ]
  const samples = [...of('boot-cold-bytes', [5, 4]), ...of('herd', [5, 11]), ...of('restart-bytes', [1, 2])]
  const said = whoIsAhead(rowsOf(samples, 'parentfs', () => 'lower'))
  t.match(said, /- \*\*Bytes of a boot\.\*\* .*\n {2}- a recorded boot, cold, fetched: nbdkit at 10 ms, no cap 2\.5\n/)
  t.match(said, /- \*\*Not explained\.\*\* .*\n {2}- the same 64 reads after a restart, fetched: nbdkit/)
  t.notMatch(said, /16 readers/, 'not in every round')
})

t.test('on a terminal a question has its answers below it, and what cannot be divided no ratio', async t => {
  const samples = [
    ...[2, 4].map((value, round) => sample('parentfs', round, value)),
    ...[4, 4].map((value, round) => sample('other', round, value)),
    sample('parentfs', 0, 0, 'restart-bytes'),
    sample('other', 0, 3, 'restart-bytes'),
  ]
  t.same(
    linesOf(
      rowsOf(samples, 'parentfs', () => 'lower'),
      'parentfs',
    ),
    [
      'the same 64 reads after a restart, fetched, origin 10 ms, no cap away (MiB, lower is better)',
      '    parentfs         0',
      '    other            3',
      'a recorded boot, cold, origin 10 ms, no cap away (s, lower is better)',
      '    parentfs         4',
      '    other            4   parentfs is 1 times as good (1 to 2)',
    ],
  )
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
