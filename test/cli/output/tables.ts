/** Tables of the command line: one line a row, aligned by what is usual. */
import t from 'tap'
import { newTable } from '../../../src/cli/output/tables.ts'

t.test('a name of 255 characters moves its own row alone', async t => {
  const table = newTable(['IMAGE', 'SIZE'])
  const long = `${'x'.repeat(255)}`
  table.push(['a.raw', '1 GiB'], [long, '2 GiB'], [`${long}$&`, '3 GiB'], ['b.raw', '4 GiB'])
  const lines = table.toString().split('\n')
  t.equal(lines.length, 5)
  t.match(lines[1], /^a\.raw {2,66}1 GiB/)
  t.match(lines[2], new RegExp(`^${long} +2 GiB`))
  t.ok(lines[3]?.startsWith(`${long}$& `))
  t.equal(lines[1]?.indexOf('1 GiB'), lines[4]?.indexOf('4 GiB'))
})

t.test('names of usual lengths are aligned', async t => {
  const table = newTable(['IMAGE', 'SIZE'])
  table.push(['a', '1'], ['x'.repeat(60), '2'])
  const [head = '', one = '', two = ''] = table.toString().split('\n')
  t.equal(one.indexOf('1'), 62)
  t.equal(two.indexOf('2'), 62)
  t.equal(head.indexOf('SIZE'), 62)
})
