/** Units that former owners told: what they lack they need not be asked for, until the ranks change. */
import t from 'tap'
import { FormerOwnerUnits } from '../../../src/fleet/asking/former-owner-units.ts'
import { formerOwnerUnitsBytesMax } from '../../../src/fleet/asking/limits.ts'

t.test('a member may have every unit until it has told, and then those that it told', async t => {
  const former = new FormerOwnerUnits({ ownership: 1 })
  t.ok(former.mayHold('m', 'i', 9))
  t.ok(former.begin('m', 'i'))
  t.notOk(former.begin('m', 'i'), 'it is asked by one question at a time')
  t.notOk(former.end('m', 'i', null, 1))
  t.ok(former.begin('m', 'i'), 'it told nothing')
  t.ok(former.end('m', 'i', Uint8Array.of(0b1000_0001, 1), 1))
  t.notOk(former.begin('m', 'i'))
  t.same(
    Array.from({ length: 24 }, (_, unit) => unit).filter(unit => former.mayHold('m', 'i', unit)),
    [0, 7, 8, 16, 17, 18, 19, 20, 21, 22, 23],
    'those beyond its answer may be there',
  )
  t.ok(former.mayHold('other', 'i', 1))
  t.ok(former.mayHold('m', 'other', 1))
})

t.test('other ranks forget what was told, also by an answer that is late', async t => {
  const view = { ownership: 1 }
  const former = new FormerOwnerUnits(view)
  former.begin('m', 'i')
  former.end('m', 'i', Uint8Array.of(0), 1)
  t.notOk(former.mayHold('m', 'i', 1))
  view.ownership = 2
  t.ok(former.mayHold('m', 'i', 1))
  t.ok(former.begin('m', 'i'))
  view.ownership = 3
  t.notOk(former.end('m', 'i', Uint8Array.of(0), 2))
  t.ok(former.mayHold('m', 'i', 1))
})

t.test('answers beyond the bytes of all are forgotten, the longest unused first', async t => {
  const former = new FormerOwnerUnits({ ownership: 1 })
  const units = new Uint8Array(4_096)
  const count = Math.floor(formerOwnerUnitsBytesMax / (4_096 + 128))
  for (let k = 0; k <= count; k++) {
    former.begin(`m${k}`, 'i')
    former.end(`m${k}`, 'i', units, 1)
  }
  t.ok(former.mayHold('m0', 'i', 1))
  t.notOk(former.mayHold('m1', 'i', 1))
})
