/** Lines for people, of which each is what it seems. */
import t from 'tap'
import { prettyLines } from '../../../src/daemon/config/pretty-lines.ts'

const hostile = 'a\u001b[2J\nb\u0007c\u007fd\u009be\u202ef\rg'

function lineOf(more: object): string {
  return `${JSON.stringify({ level: 30, time: 0, pid: 1, name: 'worker', ...more })}\n`
}

t.test('no text of others steers the terminal or begins a line', async t => {
  const format = prettyLines(false)
  const err = { type: 'Error', message: hostile, stack: `Error: x\u001b[2J\n    at y${hostile}` }
  const text = format(lineOf({ msg: hostile, image: hostile, inner: { [hostile]: hostile }, err }))
  t.notMatch(text, /[^\P{C}\n]/u)
  t.match(text, /INFO \(worker\): a\\u001b\[2J\\u000ab\\u0007c\\u007fd\\u009be\\u202ef\\u000dg\n/)
  t.notMatch(text, /^[bg]/m, 'but for stack traces')
  t.match(text, /Error: x\\u001b\[2J\n +at y/)
})

t.test('colours are ours alone', async t => {
  const text = prettyLines(true)(lineOf({ msg: 'hi\u001b[31m', image: 'x\u001b[31m' }))
  t.match(text, '\u001b[32mINFO\u001b[39m')
  t.notMatch(text, '\u001b[31m')
})
