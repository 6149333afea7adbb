import t from 'tap'
import { unpromotedMsMax } from '../../../src/cache/fetch/limits.ts'
import { UnpromotedBuffer } from '../../../src/cache/fetch/unpromoted-buffer.ts'

/** Something parked that notes that it left. */
function retained(log: string[], name: string, bytes = 10) {
  return { bytes, leave: () => void log.push(name) }
}

t.test('what is not wanted leaves at once, and what is over the bound pushes the oldest out', async t => {
  const log: string[] = []
  const unpromoted = new UnpromotedBuffer(25, () => 0)
  const [a, b, c] = ['a', 'b', 'c'].map(name => retained(log, name))
  unpromoted.add(a!)
  unpromoted.add(b!)
  t.same(log, [])
  unpromoted.add(c!)
  t.same(log, ['a'])
  t.equal(unpromoted.usedBytes, 20)
  unpromoted.drop(c!)
  unpromoted.drop(c!)
  t.same(log, ['a', 'c'])
  unpromoted.add(retained(log, 'large', 100))
  t.same(log, ['a', 'c', 'b'], 'one is always let in')
  unpromoted.close()
  unpromoted.add(retained(log, 'late'))
  t.same(log.slice(3), ['large', 'late'])
  t.same([unpromoted.usedBytes, unpromoted.size], [0, 0])
})

t.test('what waits too long leaves', async t => {
  const log: string[] = []
  let nowMs = 0
  const unpromoted = new UnpromotedBuffer(1000, () => nowMs)
  unpromoted.add(retained(log, 'a'))
  nowMs = unpromotedMsMax - 1
  unpromoted.add(retained(log, 'b'))
  unpromoted.sweep()
  t.same(log, [])
  nowMs = unpromotedMsMax
  unpromoted.sweep()
  t.same(log, ['a'])
  nowMs = 2 * unpromotedMsMax
  unpromoted.sweep()
  t.same(log, ['a', 'b'])
})
