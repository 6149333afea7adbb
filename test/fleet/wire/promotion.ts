/** States of promotions on the wire: what is none is left out. */
import t from 'tap'
import { parsePromotionState } from '../../../src/fleet/wire/promotion.ts'

const counts = { doneBytes: 1, totalBytes: 2, promotedBytes: 1 }
const state = { state: 'running', ...counts, complete: false, reason: '' }

t.test('a state is read back; a reason has a bound', async t => {
  t.same(parsePromotionState(JSON.stringify(state)), state)
  t.equal(parsePromotionState(JSON.stringify({ ...state, reason: 'x'.repeat(2_000) }))?.reason.length, 1_000)
})

t.test('nonsense is no state', async t => {
  const wrong = [{ state: 'x' }, { doneBytes: -1 }, { totalBytes: '2' }, { complete: 1 }, { reason: null }]
  for (const each of wrong) t.equal(parsePromotionState(JSON.stringify({ ...state, ...each })), null)
  for (const text of ['', '[]', 'null', '{', '7']) t.equal(parsePromotionState(text), null)
})
