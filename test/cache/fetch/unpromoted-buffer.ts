import t from 'tap'
import { lingeringMsMax } from '../../../src/cache/fetch/limits.ts'
import { UnpromotedBuffer } from '../../../src/cache/fetch/unpromoted-buffer.ts'

/** Something parked that notes that it left. */
function parked(log: string[], name: string, bytes = 10) {
  return { bytes, leave: () => void log.push(name) }
}

t.test('what is not wanted leaves at once, and what is over the bound pushes the oldest out', async t => {
  const log: string[] = []
  const park = new UnpromotedBuffer(25, () => 0)
  const [a, b, c] = ['a', 'b', 'c'].map(name => parked(log, name))
  park.add(a!)
  park.add(b!)
  t.same(log, [])
  park.add(c!)
  t.same(log, ['a'])
  t.equal(park.usedBytes, 20)
  park.drop(c!)
  park.drop(c!)
  t.same(log, ['a', 'c'])
  park.add(parked(log, 'large', 100))
  t.same(log, ['a', 'c', 'b'], 'one is always let in')
  park.close()
  park.add(parked(log, 'late'))
  t.same(log.slice(3), ['large', 'late'])
  t.same([park.usedBytes, park.size], [0, 0])
})

t.test('what waits too long leaves', async t => {
  const log: string[] = []
  let nowMs = 0
  const park = new UnpromotedBuffer(1000, () => nowMs)
  park.add(parked(log, 'a'))
  nowMs = lingeringMsMax - 1
  park.add(parked(log, 'b'))
  park.sweep()
  t.same(log, [])
  nowMs = lingeringMsMax
  park.sweep()
  t.same(log, ['a'])
  nowMs = 2 * lingeringMsMax
  park.sweep()
  t.same(log, ['a', 'b'])
})
