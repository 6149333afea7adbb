/** Text of others, for people. */
import t from 'tap'
import { printable, printableLines } from '../../src/base/printable.ts'

t.test('control characters, invisible ones and ends of lines are shown as what they are', async t => {
  t.equal(printable('plain ü 日本 🙂 name-1.qcow2'), 'plain ü 日本 🙂 name-1.qcow2')
  t.equal(printable('\u001b[2J\u0000\t\r\n\u007f\u009b'), '\\u001b[2J\\u0000\\u0009\\u000d\\u000a\\u007f\\u009b')
  t.equal(printable('\u202egpj.exe \u200b\ufeff\u2028\u2029'), '\\u202egpj.exe \\u200b\\ufeff\\u2028\\u2029')
  t.equal(printable('\u{e0041}'), '\\u{e0041}')
})

t.test('ends of lines may stay', async t => {
  t.equal(printableLines('a\u001b\n  b\r\n'), 'a\\u001b\n  b\\u000d\n')
})
