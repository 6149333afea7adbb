import t from 'tap'
import { parkedMsMax } from '../../src/ahead-limits.ts'
import { Park } from '../../src/cache/park.ts'

/** Something parked that notes how it left. */
function parked(log: string[], name: string, bytes = 10) {
  return { bytes, leave: (wasRead: boolean) => void log.push(`${name} ${wasRead ? 'read' : 'unread'}`) }
}

t.test('what is read leaves at once, and what is over the bound pushes the oldest out unread', async t => {
  const log: string[] = []
  const park = new Park(25, () => 0)
  const [a, b, c] = ['a', 'b', 'c'].map(name => parked(log, name))
  park.add(a!)
  park.add(b!)
  t.same(log, [])
  park.add(c!)
  t.same(log, ['a unread'])
  t.equal(park.usedBytes, 20)
  park.read(c!)
  park.read(c!)
  t.same(log, ['a unread', 'c read'])
  park.add(parked(log, 'large', 100))
  t.same(log, ['a unread', 'c read', 'b unread'], 'one is always let in')
  park.close()
  park.add(parked(log, 'late'))
  t.same(log.slice(3), ['large unread', 'late unread'])
  t.same([park.usedBytes, park.size], [0, 0])
})

t.test('what waits too long leaves unread', async t => {
  const log: string[] = []
  let nowMs = 0
  const park = new Park(1000, () => nowMs)
  park.add(parked(log, 'a'))
  nowMs = parkedMsMax - 1
  park.add(parked(log, 'b'))
  park.sweep()
  t.same(log, [])
  nowMs = parkedMsMax
  park.sweep()
  t.same(log, ['a unread'])
  nowMs = 2 * parkedMsMax
  park.sweep()
  t.same(log, ['a unread', 'b unread'])
})
